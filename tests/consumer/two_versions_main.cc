bool Old();
bool New();

int main() { return Old() && New() ? 0 : 1; }
