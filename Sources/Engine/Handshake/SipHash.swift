// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for cookies and initial sequence
// numbers, as the kernel uses it for both (secure_tcp_seq).

internal import Wire

/// A 128-bit secret for `sipHash`.
public struct SipHashKey: Sendable {
  var first: UInt64
  var second: UInt64

  /// A key from its two halves, each the little-endian number of eight key bytes.
  public init(_ first: UInt64, _ second: UInt64) {
    self.first = first
    self.second = second
  }
}

/// The SipHash-2-4 of `bytes`.
func sipHash(_ bytes: RawSpan, key: SipHashKey) -> UInt64 {
  var state = SipHashState(key: key)
  var offset = 0
  while offset &+ 8 <= bytes.byteCount {
    state.absorb(bytes.be64(at: offset).byteSwapped)
    offset &+= 8
  }
  var last = UInt64(truncatingIfNeeded: bytes.byteCount) << 56
  for index in offset..<bytes.byteCount {
    last |= UInt64(bytes.byte(at: index)) << UInt64(8 &* (index &- offset))
  }
  state.absorb(last)
  return state.finalize()
}

private struct SipHashState {
  private var v0: UInt64
  private var v1: UInt64
  private var v2: UInt64
  private var v3: UInt64

  init(key: SipHashKey) {
    v0 = key.first ^ 0x736f_6d65_7073_6575
    v1 = key.second ^ 0x646f_7261_6e64_6f6d
    v2 = key.first ^ 0x6c79_6765_6e65_7261
    v3 = key.second ^ 0x7465_6462_7974_6573
  }

  mutating func absorb(_ word: UInt64) {
    v3 ^= word
    round()
    round()
    v0 ^= word
  }

  mutating func finalize() -> UInt64 {
    v2 ^= 0xFF
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }

  private mutating func round() {
    v0 &+= v1
    v2 &+= v3
    v1 = rotate(v1, by: 13) ^ v0
    v3 = rotate(v3, by: 16) ^ v2
    v0 = rotate(v0, by: 32)
    v2 &+= v1
    v0 &+= v3
    v1 = rotate(v1, by: 17) ^ v2
    v3 = rotate(v3, by: 21) ^ v0
    v2 = rotate(v2, by: 32)
  }

  private func rotate(_ word: UInt64, by count: UInt64) -> UInt64 {
    word << count | word >> (64 &- count)
  }
}
