// Compiled once. Work on files in pieces, on several threads: not by oneTBB, so that a thread that waits for
// a disk keeps none of its workers.
#ifndef FUSEDFFN_SRC_MODELS_PIECES_H_
#define FUSEDFFN_SRC_MODELS_PIECES_H_

#include <cstddef>
#include <functional>
#include <vector>

namespace fusedffn {
inline namespace v0_2 {
namespace io {

// `buffer` is the thread's own, and keeps its memory from one piece to the next.
using PieceWork = std::function<void(size_t piece, std::vector<char>* buffer)>;

// work(i, ...) for every i below `count`, in order but for those that `threads` threads do at the same time;
// no more of them than CPUs. If some throw, throws what the first of them has thrown: the same as one thread
// would, which gets no further.
void ForEachPiece(int threads, size_t count, const PieceWork& work);

}  // namespace io
}  // namespace v0_2
}  // namespace fusedffn

#endif  // FUSEDFFN_SRC_MODELS_PIECES_H_
