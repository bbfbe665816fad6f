// What the link does to what it carries.

import Samples
import Wire

/// A policer for each four-tuple: what exceeds it is dropped.
struct Policing: Equatable, Sendable {
  var rate: Rate
  /// Bytes that may pass at once.
  var burst: Int
}

/// A share of something.
struct Share: Equatable, Sendable {
  var millionths = 0

  /// The whole number that the share of `count` comes to.
  func of(_ count: Int) -> Int { count * millionths / 1_000_000 }

  func takes(_ random: inout SplitMix64) -> Bool {
    millionths > 0 && Int(random.next() % 1_000_000) < millionths
  }
}

/// The settings of one way.
struct PathSettings: Equatable, Sendable {
  struct Bottleneck: Equatable, Sendable {
    var rate: Rate
    /// Bytes that may wait.
    var queue: Int
  }

  var bottleneck: Bottleneck?
  var delay = Duration.zero
  var jitter = Duration.zero
  var loss = Share()
  var reordering = Share()
  var holdBack = Duration.zero
  var policing: [Transport: Policing] = [:]
  /// Nothing passes before this moment.
  var cutUntil = Instant(nanoseconds: 0)
}

/// The settings of the link.
public struct Settings: Equatable, Sendable {
  var ways = BothWays(PathSettings())
  var blocked: Set<Transport> = []
  var blackholes = Blackholes()
  /// The time between RSTs into every TCP connection.
  var resetInterval: Duration?

  /// Carries everything at once.
  public init() {}
}
