// SPDX-License-Identifier: Apache-2.0
// Starts the desktop app.
int main() {}
