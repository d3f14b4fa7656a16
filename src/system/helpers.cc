#include "src/system/helpers.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>

#include "src/system/cpu.h"
#include "src/system/never_destroyed.h"

namespace fusedffn {
inline namespace v0_2 {
namespace {

// How long a helper looks for its next job before it sleeps, and a caller waits for the last share before it
// lets others run. A call has up to four jobs, which follow each other within microseconds.
constexpr int kSpins = 2000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// One job of one caller, on its stack.
struct SharedJob {
  const Job& job;
  cpu_set_t cpus;  // of the calling thread
  bool cpus_are_known;
  std::atomic<size_t> running;  // helpers that may still look at this
};

class Helper {
 public:
  Helper* next = nullptr;  // in a list of the pool's or a caller's

  void Give(SharedJob* job, size_t thread) {
    thread_ = thread;
    job_.store(job);
    if (!asleep_.load()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_one();
  }

  // Whether it had not begun, and will not.
  bool Recall(SharedJob* job) { return job_.compare_exchange_strong(job, nullptr); }

  [[noreturn]] void Loop() {
    for (;;) {
      SharedJob& shared = *Wait();
      RunOn(shared);
      shared.job.work(shared.job.context, thread_);
      shared.running.fetch_sub(1, std::memory_order_release);
    }
  }

 private:
  SharedJob* Wait() {
    for (int i = 0; i < kSpins; ++i) {
      if (SharedJob* job = Taken()) return job;
      Pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.store(true);
    SharedJob* job = nullptr;
    wake_.wait(lock, [&] { return (job = Taken()) != nullptr; });
    asleep_.store(false);
    return job;
  }

  SharedJob* Taken() { return job_.load() == nullptr ? nullptr : job_.exchange(nullptr); }

  void RunOn(const SharedJob& shared) {
    if (!shared.cpus_are_known || std::memcmp(&cpus_, &shared.cpus, sizeof(cpus_)) == 0) return;
    cpus_ = shared.cpus;
    sched_setaffinity(0, sizeof(cpus_), &cpus_);
  }

  std::atomic<SharedJob*> job_{nullptr};
  size_t thread_ = 0;  // of the job; written before it is given
  cpu_set_t cpus_ = {};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

// Starts a thread of its own for it. Signals are the other threads' business.
bool Start(Helper* helper) {
  constexpr size_t kStackBytes = size_t{1} << 20;  // a call takes 14 KB; without optimization, more
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const auto loop = [](void* argument) -> void* { static_cast<Helper*>(argument)->Loop(); };
  const int error = pthread_create(&thread, &attributes, loop, helper);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

class HelperPool {
 public:
  // A list of up to `count`, idle ones or new, if there are to be no more than `most` in all.
  Helper* Take(size_t count, size_t most) {
    const std::lock_guard<std::mutex> lock(mutex_);
    Helper* taken = nullptr;
    for (; count > 0; --count) {
      Helper* const helper = idle_ != nullptr ? idle_ : New(most);
      if (helper == nullptr) break;
      if (helper == idle_) idle_ = helper->next;
      helper->next = taken;
      taken = helper;
    }
    return taken;
  }

  void Return(Helper* first) {
    if (first == nullptr) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    while (first != nullptr) {
      Helper* const next = first->next;
      first->next = idle_;
      idle_ = first;
      first = next;
    }
  }

  void BeforeFork() { mutex_.lock(); }
  void InParent() { mutex_.unlock(); }
  // A child has none of its parent's threads. What it starts are its own.
  void InChild() {
    idle_ = nullptr;
    count_ = 0;
    mutex_.unlock();
  }

 private:
  Helper* New(size_t most) {
    if (count_ >= most) return nullptr;
    auto* const helper = new (std::nothrow) Helper;
    if (helper == nullptr) return nullptr;
    if (!Start(helper)) {
      delete helper;
      return nullptr;
    }
    ++count_;
    return helper;
  }

  std::mutex mutex_;
  Helper* idle_ = nullptr;
  size_t count_ = 0;  // of all, for ever
};

HelperPool& Pool();

// The pool, with what must be done once.
struct PoolWithHooks : HelperPool {
  PoolWithHooks() {
    pthread_atfork([] { Pool().BeforeFork(); }, [] { Pool().InParent(); }, [] { Pool().InChild(); });
    // The threads' code must stay where it is: a plug-in with this library in it is not unloaded once they
    // run.
    Dl_info self;
    if (dladdr(reinterpret_cast<void*>(&RunWithHelpers), &self) != 0) {
      dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
  }
};

HelperPool& Pool() {
  static NeverDestroyed<PoolWithHooks> pool;
  return pool.get();
}

size_t MostHelpers(const SharedJob& shared) {
  const int cpus = shared.cpus_are_known ? CPU_COUNT(&shared.cpus) : AffinityCpus();
  const int quota = CgroupThreads();
  return static_cast<size_t>(std::max(1, quota > 0 ? std::min(cpus, quota) : cpus)) - 1;
}

void WaitForHelpers(const SharedJob& shared) {
  for (int i = 0; shared.running.load(std::memory_order_acquire) != 0; ++i) {
    i < kSpins ? Pause() : std::this_thread::yield();
  }
}

}  // namespace

void RunWithHelpers(size_t threads, const Job& job) noexcept {
  SharedJob shared = {job, {}, false, {0}};
  // The kernel refuses a mask smaller than its own, of more than 1,024 CPUs: then helpers keep what they
  // have.
  shared.cpus_are_known = sched_getaffinity(0, sizeof(shared.cpus), &shared.cpus) == 0;
  const size_t most = MostHelpers(shared);
  Helper* const helpers = Pool().Take(std::min(threads - 1, most), most);
  size_t thread = 1;
  for (Helper* helper = helpers; helper != nullptr; helper = helper->next) {
    shared.running.fetch_add(1, std::memory_order_relaxed);
    helper->Give(&shared, thread++);
  }
  job.work(job.context, 0);
  for (Helper* helper = helpers; helper != nullptr; helper = helper->next) {
    if (helper->Recall(&shared)) shared.running.fetch_sub(1, std::memory_order_relaxed);
  }
  WaitForHelpers(shared);
  Pool().Return(helpers);
}

}  // namespace v0_2
}  // namespace fusedffn
