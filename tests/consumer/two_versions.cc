// Two versions of the static library in one program: each part of it gets its own.
bool ThisVersionIsRight();
bool OtherVersionIsRight();

int main() { return ThisVersionIsRight() && OtherVersionIsRight() ? 0 : 1; }
