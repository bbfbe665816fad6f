// rsock keygen

import ArgumentParser
import Driver
import Glibc

/// `rsock keygen`.
struct KeygenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keygen",
    abstract: "Print a new key.",
    discussion: """
      A key is 32 random bytes, in base64. The server and its client have the same, \
      in files that others may not read:
        (umask 077 && rsock keygen > laptop.key)
        rsock client --key-file=laptop.key --taddr=SERVER -l 127.0.0.1:30000
      """)

  func run() throws {
    print(generateKey())
    // A full disk must not look like a key.
    guard fflush(nil) == 0 else { throw StartError(call: "print the key", code: errno) }
  }
}
