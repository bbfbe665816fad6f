// What there is to fuzz. A new target is a file in Targets/, a line in `all`, and a folder in
// Fuzz/Corpus with the files that `Fuzz --seeds` writes.

import Wire

/// A parser, or whatever else takes bytes that others made up.
struct FuzzTarget: Sendable {
  /// What ci/fuzz, the corpus and the seeds call it.
  let name: String
  /// Takes one input. It traps where something is wrong, and leaves nothing behind.
  let run: @Sendable (RawSpan) -> Void
  /// Inputs to begin with, by file name.
  let seeds: @Sendable () -> [String: [UInt8]]

  /// All targets.
  static let all = [
    ipv4, ipv6, tcp, icmp, frame, fragment, hello, noise, sealed, engine, keys, text, configuration,
    netlink,
    received,
  ]

  /// The target that the first argument names. libFuzzer ignores what starts with two dashes, and
  /// repeats it where it starts itself again (-merge, -fork).
  static let chosen = all.first { "--target=\($0.name)" == CommandLine.arguments.dropFirst().first }
}

/// Ends the run where a target finds that something does not hold.
func require(_ condition: Bool, _ claim: @autoclosure () -> String) {
  // In a release build, a failed precondition is silent.
  if !condition { fatalError("does not hold: \(claim())") }
}
