// How datagrams are spread over the channels of a session (docs/scheduling.md).

internal import Wire

/// A way to spread datagrams over channels. The client chooses it for both directions.
public enum Schedule: String, CaseIterable, Hashable, Sendable {
  /// A flow keeps to one channel, moves where that is worse than others, and is spread where none
  /// alone can carry it.
  case adaptive
  /// Each run goes to any channel.
  case random
  /// A flow keeps to one channel as long as that lives.
  case sticky
  /// Each datagram goes on two channels; the receiver drops the second copy.
  case redundant

  /// The bits of a client's Hello that name it.
  private static let mask: UInt8 = 0x30

  /// What a client's Hello says.
  var flags: HelloFlags {
    let number: UInt8 =
      switch self {
      case .adaptive: 0
      case .random: 1
      case .sticky: 2
      case .redundant: 3
      }
    return HelloFlags(rawValue: number << 4)
  }

  /// What a client's Hello has said.
  init(_ flags: HelloFlags) {
    self =
      switch (flags.rawValue & Self.mask) >> 4 {
      case 1: .random
      case 2: .sticky
      case 3: .redundant
      default: .adaptive
      }
  }
}
