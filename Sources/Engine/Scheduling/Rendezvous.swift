// Which channel is a flow's home: each flow and channel have a score, and the highest wins (Thaler and
// Ravishankar, 1998). So where a channel goes or comes, only its own flows move.

internal import Wire

/// Rendezvous hashing.
enum Rendezvous {
  /// The score of a channel for a flow. Of channels with several shares each wins a part of all flows
  /// that is close to its share: share / -log2(u) with u from 0 to 1, the logarithm by straight lines
  /// between powers of two.
  static func score(flow: UInt16, channel: UInt32, share: Double) -> Double {
    var hash = SplitMix64(seed: UInt64(flow) << 32 | UInt64(channel))
    let chance = Double(hash.next() >> 11 | 1) * 0x1p-53
    let logarithm = Double(chance.exponent) + chance.significand - 1
    return share / -logarithm
  }
}
