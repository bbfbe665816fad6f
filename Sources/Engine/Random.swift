// Random choices that need no secrecy: which channel, which port, how much jitter.

internal import Wire

/// SplitMix64 (Steele, Lea and Flood, 2014); its seed is an argument, so runs can be repeated.
struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// A number in 0..<`count`. The bias, at most `count` in 2^64, matters to no use here.
  @inline(__always)
  mutating func below(_ count: Int) -> Int {
    Int(next().multipliedFullWidth(by: UInt64(count)).high)
  }

  /// `duration` give or take an eighth.
  mutating func jittered(_ duration: Duration) -> Duration {
    let eighth = Int(duration.wholeNanoseconds / 8)
    return duration + .nanoseconds(below(max(eighth * 2, 1)) - eighth)
  }
}
