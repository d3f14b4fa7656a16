// Loads a plug-in, calls it and unloads it, again and again: its threads outlive that.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

int main(int, char** argv) {
  for (int i = 0; i < 100; ++i) {
    void* const plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), 1;
    const auto call = reinterpret_cast<bool (*)()>(dlsym(plugin, "CallFromPlugin"));
    if (call == nullptr || !call()) return std::fprintf(stderr, "call %d failed\n", i), 1;
    dlclose(plugin);
    usleep(1000);  // while the threads fall asleep
  }
  std::puts("loaded, called and unloaded 100 times");
}
