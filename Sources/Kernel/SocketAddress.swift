// Endpoints as the socket calls have them (ip(7), ipv6(7)).

import CLinux
import Glibc
public import Wire

extension AddressFamily {
  /// `AF_INET` or `AF_INET6`.
  var domain: Int32 { self == .ipv4 ? AF_INET : AF_INET6 }

  /// `ETH_P_IP` or `ETH_P_IPV6`.
  var etherType: UInt16 { UInt16(self == .ipv4 ? ETH_P_IP : ETH_P_IPV6) }
}

extension AddressFamily {
  /// Whether the kernel has it at all: IPv6 may be switched off when it starts (`ipv6.disable=1`).
  public var isAvailable: Bool {
    do throws(SystemError) {
      _ = try openSocket("UDP", domain: domain, type: SOCK_DGRAM)
      return true
    } catch { return error.code != EAFNOSUPPORT }
  }
}

/// A sockaddr_in or sockaddr_in6.
struct SocketAddress: BitwiseCopyable {
  /// Its bytes, of which `length` count.
  var name = rs_address()
  let length: socklen_t

  /// The address of an endpoint for a socket of `family`: for one of IPv6 an IPv4 address is mapped,
  /// as the kernel wants it of a socket for both.
  init(_ endpoint: Endpoint, on family: AddressFamily) {
    name.family = UInt16(family.domain)
    name.port = endpoint.port.bigEndian
    switch family {
    case .ipv4:
      name.flow_or_ipv4 = endpoint.address.ipv4.bigEndian
      length = socklen_t(MemoryLayout<sockaddr_in>.size)
    case .ipv6:
      let address = endpoint.address.withoutZone
      name.high = address.high.bigEndian
      name.low = address.low.bigEndian
      name.scope = endpoint.address.zone
      length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    }
  }

  /// What the kernel wrote to `name`.
  var endpoint: Endpoint {
    let port = UInt16(bigEndian: name.port)
    guard Int32(name.family) == AF_INET6 else {
      return Endpoint(IPAddress(ipv4: UInt32(bigEndian: name.flow_or_ipv4)), port)
    }
    let address = IPAddress(high: UInt64(bigEndian: name.high), low: UInt64(bigEndian: name.low))
    return Endpoint(address.inZone(name.scope), port)
  }
}

/// An in6_pktinfo, without the union that keeps Swift from copying it (ipv6(7)).
struct PacketInformation6: BitwiseCopyable {
  // The address in network byte order, and the number of the device, 0 for any: 20 bytes.
  private var words: (UInt32, UInt32, UInt32, UInt32)
  private var interface: UInt32 = 0

  init(address: IPAddress) {
    let (high, low) = (address.high.bigEndian, address.low.bigEndian)
    words = unsafe unsafeBitCast((high, low), to: (UInt32, UInt32, UInt32, UInt32).self)
  }

  var address: IPAddress {
    let (high, low) = unsafe unsafeBitCast(words, to: (UInt64, UInt64).self)
    return IPAddress(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
  }
}

// The zone of a link-local address, the number of the link's device, is kept in bits that are zero in
// each such address (RFC 4291, section 2.5.6), as kernels that come from KAME do it: so who asks from
// one is answered there.
extension IPAddress {
  private static let zoneBits: UInt64 = 0xFFFF_FFFF << 16

  fileprivate var zone: UInt32 {
    isLinkLocal ? UInt32(truncatingIfNeeded: high >> 16) : 0
  }

  fileprivate var withoutZone: IPAddress {
    isLinkLocal ? IPAddress(high: high & ~Self.zoneBits, low: low) : self
  }

  fileprivate func inZone(_ zone: UInt32) -> IPAddress {
    isLinkLocal ? IPAddress(high: high & ~Self.zoneBits | UInt64(zone) << 16, low: low) : self
  }
}
