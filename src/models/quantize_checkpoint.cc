#include "src/models/quantize_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory_resource>
#include <set>

#include "fusedffn/fusedffn.h"
#include "kernels/dtype_traits.h"
#include "src/files/error.h"
#include "src/files/safetensors_header.h"
#include "src/files/text.h"
#include "src/models/quantized_weight.h"
#include "src/models/weight_rows.h"

namespace fusedffn {
inline namespace v0_2 {
namespace io {
namespace {

// The metadata of all files, with ours. They cannot be told apart in one file, so none may differ from ours.
Metadata MergeMetadata(const Checkpoint& checkpoint, const QuantizePlan& plan) {
  const Metadata ours = Int8Metadata(plan.int8_group);
  Metadata merged = ours;
  std::set<const SafetensorsFile*> files;
  for (const QuantizePlan::Item& item : plan.items) {
    if (!files.insert(item.from.file).second) continue;
    for (const auto& [key, value] : item.from.file->metadata()) {
      const auto [entry, is_new] = merged.emplace(key, value);
      if (is_new || entry->second == value || ours.count(key) == 0) continue;
      throw Error(checkpoint.path(), fmt::format("__metadata__ has {} {}; with groups of {} it would be {}",
                                                 key, Quoted(value), plan.int8_group, Quoted(entry->second)));
    }
  }
  return merged;
}

// What the items become, in the order in which it stands in the new file. Names and shapes are kept in
// `memory` where they are not the checkpoint's.
std::vector<Tensor> Described(const QuantizePlan& plan, std::pmr::memory_resource* memory) {
  std::vector<Tensor> tensors;
  for (const auto& [from, layout] : plan.items) {
    tensors.push_back({from->name, layout ? "I8" : from->dtype, from->shape});
    if (layout == nullptr) continue;
    tensors.push_back({Kept(ScaleName(from->name), memory), "F32",
                       Kept(ScaleShape(*from, *layout, plan.int8_group), memory)});
  }
  // The largest elements first, as other writers do: then all are aligned, which some readers need.
  const Dims eight = {8};
  std::stable_sort(tensors.begin(), tensors.end(), [&](const Tensor& a, const Tensor& b) {
    return TensorBytes(a.dtype, eight) > TensorBytes(b.dtype, eight);
  });
  return tensors;
}

void Copy(const StoredTensor& from, const Tensor& to, const OnRead& on_read, SafetensorsWriter* file) {
  constexpr uint64_t kMostAtOnce = uint64_t{1} << 20;
  std::vector<char> piece;
  for (uint64_t at = 0; at < to.bytes(); at += piece.size()) {
    piece.resize(std::min(kMostAtOnce, to.bytes() - at));
    from.file->Read(*from, at, piece.size(), piece.data());
    on_read(piece.size());
    file->Write(to, at, piece.size(), piece.data());
  }
}

// Adds the error of rows that have been quantized.
void AddError(const char* rows, DType dtype, uint64_t count, uint64_t cols, size_t group, const int8_t* q,
              const float* scales, QuantizeReport* report) {
  const uint64_t groups = Int8Groups(cols, group);
  VisitDType(dtype, [&](auto type) {
    const auto* from = reinterpret_cast<const unsigned char*>(rows);
    for (uint64_t i = 0; i < count * groups; ++i) {
      ++report->groups;
      if (std::isnan(scales[i])) {
        ++report->not_finite;
        continue;
      }
      const uint64_t row = i / groups, k = i % groups * group;
      const uint64_t end = row * cols + std::min(cols, k + group);
      for (uint64_t at = row * cols + k; at < end; ++at) {
        const double wanted = LoadElement<decltype(type)>(from, at),
                     error = wanted - double{scales[i]} * q[at];
        report->error2 += error * error;
        report->norm2 += wanted * wanted;
      }
    }
  });
}

void Quantize(const QuantizePlan::Item& item, size_t group, const Tensor& to, const Tensor& scale,
              const OnRead& on_read, SafetensorsWriter* file, QuantizeReport* report) {
  RowReader reader(item.from, *item.layout);
  RowWriter writer(file, to, *item.layout);
  const DType dtype = *UsableDType(*item.from);
  const uint64_t cols = reader.cols(), groups = Int8Groups(cols, group), chunk_rows = reader.ChunkRows();
  std::vector<char> chunk;
  std::vector<int8_t> q(chunk_rows * cols);
  std::vector<float> scales(chunk_rows * groups);
  for (uint64_t row = 0; row < reader.rows(); row += chunk_rows) {
    const uint64_t count = std::min(chunk_rows, reader.rows() - row);
    reader.Read(row, count, &chunk);
    on_read(chunk.size());
    const Status status =
        QuantizeRows(chunk.data(), dtype, count, cols, cols, q.data(), scales.data(), group);
    if (!status.ok()) throw Error(item.from.file->path(), status.message());
    AddError(chunk.data(), dtype, count, cols, group, q.data(), scales.data(), report);
    writer.Write(row, count, q.data());
    file->Write(scale, row * groups * sizeof(float), count * groups * sizeof(float), scales.data());
  }
}

}  // namespace

uint64_t QuantizePlan::bytes() const {
  uint64_t bytes = 0;
  for (const Item& item : items) bytes += item.from->bytes();
  return bytes;
}

double QuantizeReport::RelativeError() const { return norm2 == 0 ? 0 : std::sqrt(error2 / norm2); }

QuantizePlan PlanQuantized(const Checkpoint& checkpoint, const std::vector<Block>& blocks, bool others,
                           size_t int8_group) {
  QuantizePlan plan = {{}, int8_group, {}};
  std::vector<QuantizePlan::Item>& items = plan.items;
  for (const Block& block : blocks) {
    for (const BlockLayer* layer : {&block.gate, &block.up, &block.down}) {
      if (layer->weight) items.push_back({layer->weight, block.layout});
      if (layer->bias) items.push_back({layer->bias, nullptr});
    }
  }
  if (others) {
    for (const std::string_view name : checkpoint.Names()) items.push_back({checkpoint.Find(name), nullptr});
  }
  // By name, each once, and as its block has it.
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.from->name < b.from->name; });
  items.erase(std::unique(items.begin(), items.end(),
                          [](const auto& a, const auto& b) { return a.from->name == b.from->name; }),
              items.end());
  for (const auto& [from, layout] : items) {
    if (layout == nullptr || !checkpoint.Has(ScaleName(from->name))) continue;
    throw Error(checkpoint.path(),
                fmt::format("{} has a scale already, {}", Quoted(from->name), Quoted(ScaleName(from->name))));
  }
  plan.metadata = MergeMetadata(checkpoint, plan);
  return plan;
}

QuantizeReport WriteQuantized(const QuantizePlan& plan, const std::string& path, const OnRead& on_read) {
  std::pmr::monotonic_buffer_resource memory;
  SafetensorsWriter file(path, Described(plan, &memory), plan.metadata);
  QuantizeReport report;
  for (const QuantizePlan::Item& item : plan.items) {
    const Tensor& to = *file.Find(item.from->name);
    if (item.layout == nullptr) {
      Copy(item.from, to, on_read, &file);
      ++report.copied;
      report.copied_bytes += to.bytes();
      continue;
    }
    const Tensor& scale = *file.Find(ScaleName(to.name));
    Quantize(item, plan.int8_group, to, scale, on_read, &file, &report);
    ++report.weights;
    report.bytes_before += item.from->bytes();
    report.bytes_after += to.bytes() + scale.bytes();
  }
  file.Commit();
  report.file_bytes = file.file_bytes();
  return report;
}

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn
