// A stranger's program that loads a block from a checkpoint, which it writes first: fc1 and fc2 of ones, 2 ->
// 3 -> 2.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "fusedffn/io.h"

void WriteCheckpoint(const std::string& path) {
  const std::string header = R"({"m.fc1.weight":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},)"
                             R"("m.fc2.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[24,48]}})";
  const uint64_t size = header.size();
  const std::vector<float> ones(12, 1);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << header;
  file.write(reinterpret_cast<const char*>(ones.data()), sizeof(float) * ones.size());
}

int main(int, char** argv) {
  const std::string path = argv[1];
  WriteCheckpoint(path);
  fusedffn::CheckpointLoader checkpoint;
  fusedffn::Status status = fusedffn::CheckpointLoader::Open(path, &checkpoint);
  fusedffn::LoadOptions options;
  options.activation = fusedffn::Activation::kQuickGelu;
  fusedffn::LoadedBlock block;
  if (status.ok()) status = checkpoint.LoadBlock("m", options, &block);
  const float x[2] = {1, 2};
  float y[2] = {};
  if (status.ok()) status = fusedffn::Run(block.ffn, x, 2, 1, y, 2);
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message()), 1;
  const double expected = 3 * 3 / (1 + std::exp(-1.702 * 3));
  std::printf("loaded %s: %g\n", block.prefix.c_str(), y[0]);
  return std::fabs(y[0] - expected) < 1e-5 && std::fabs(y[1] - expected) < 1e-5 ? 0 : 1;
}
