// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
int main() { std::puts("meshplan 0.1.0"); }
