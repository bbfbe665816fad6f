// An IP address as netlink messages and filters have it.

import Wire

extension IPAddress {
  /// The address of either family in as many bytes; nil where they are neither 4 nor 16. A mapped IPv4
  /// address is none of IPv6's.
  init?(bytes: RawSpan) {
    switch bytes.byteCount {
    case 4: self.init(ipv4: bytes.be32(at: 0))
    case 16:
      self.init(ipv6: bytes, at: 0)
      if isIPv4 { return nil }
    default: return nil
    }
  }

  /// The address as the numbers of 32 bits that it has on the wire: one or four.
  var words: [UInt32] {
    isIPv4
      ? [ipv4] : [high >> 32, high, low >> 32, low].map { UInt32(truncatingIfNeeded: $0) }
  }
}
