// AMX's registers are asked for by handles that use them, and by nothing else; and where Linux refuses them,
// by a filter or because of a small alternate stack, the reason is said. Each case in a child, since what is
// granted stays so.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string>

#include "tests/child.h"
#include "tests/targets.h"
#include "tests/test_block.h"

namespace fusedffn {
namespace {

constexpr char kAmx[] = "AVX3_AMX";

bool HasAmx() {
  for (const std::string& target : SupportedTargets()) {
    if (target == kAmx) return true;
  }
  return false;
}

Status Make(const char* target, Precision precision, PackedLinear* linear) {
  PackOptions options;
  options.target = target;
  options.precision = precision;
  return PackedLinear::Create(1, 1, Activation::kIdentity, options, linear);
}

// From now on arch_prctl(ARCH_REQ_XCOMP_PERM) fails in this process.
void RefuseAmx() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_arch_prctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1023, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
  ASSERT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  ASSERT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

bool SmallStackIsAccepted() {
  static char memory[8192];
  const stack_t stack = {memory, 0, sizeof(memory)};
  return sigaltstack(&stack, nullptr) == 0;
}

template <class Work>
void ExpectInChild(const Work& work) {
  EXPECT_EQ(InChild([&] {
              work();
              std::fflush(nullptr);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
}

class AmxPermissionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!HasAmx()) GTEST_SKIP() << "no AMX";
  }
};

TEST_F(AmxPermissionTest, IsAskedForByHandlesThatUseItOnly) {
  ExpectInChild([] {
    PackedLinear linear;
    EXPECT_TRUE(Make(nullptr, Precision::kF32, &linear).ok());
    EXPECT_TRUE(Make(kAmx, Precision::kBF16, &linear).ok());
    EXPECT_TRUE(SmallStackIsAccepted());
    const Status status = Make(kAmx, Precision::kInt8, &linear);
    EXPECT_NE(std::string(status.message()).find("sigaltstack() is too small"), std::string::npos)
        << status.message();
  });
  ExpectInChild([] {
    PackedLinear linear;
    EXPECT_TRUE(Make(kAmx, Precision::kBF16Dot, &linear).ok());
    EXPECT_FALSE(SmallStackIsAccepted());
  });
}

TEST_F(AmxPermissionTest, WhereItIsRefusedTheNextTargetIsTaken) {
  ExpectInChild([] {
    RefuseAmx();
    PackedLinear linear;
    const Status status = Make(kAmx, Precision::kBF16Dot, &linear);
    EXPECT_EQ(status.code(), StatusCode::kUnsupportedTarget);
    EXPECT_NE(std::string(status.message()).find("refuses"), std::string::npos) << status.message();
    for (const Precision precision : {Precision::kBF16Dot, Precision::kInt8}) {
      ASSERT_TRUE(Make(nullptr, precision, &linear).ok());
      EXPECT_STREQ(linear.target(), "AVX3_SPR");
      EXPECT_NE(std::string(Describe(linear, 1).text).find("refuses"), std::string::npos);
    }
    ASSERT_TRUE(Make(nullptr, Precision::kF32, &linear).ok());
    EXPECT_STREQ(linear.target(), kAmx);
  });
}

}  // namespace
}  // namespace fusedffn
