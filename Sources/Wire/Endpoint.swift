// An address with a port, and two of them: what names a connection.

/// An address and a port.
public struct Endpoint: Hashable, Sendable {
  /// The address.
  public var address: IPAddress
  /// The port, host byte order.
  public var port: UInt16

  /// An endpoint from its parts.
  @inlinable public init(_ address: IPAddress, _ port: UInt16) {
    self.address = address
    self.port = port
  }

  /// Parses `ADDRESS:PORT`, of IPv6 `[ADDRESS]:PORT` (RFC 3986, section 3.2.2), with a port of
  /// 0-65535.
  public init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"),
      let port = decimal(text[text.index(after: colon)...].utf8, upTo: 65535)
    else { return nil }
    var host = text[..<colon]
    let isBracketed = host.first == "[" && host.last == "]" && host.count > 2
    if isBracketed { host = host.dropFirst().dropLast() }
    guard let address = IPAddress(host), isBracketed == host.contains(":") else { return nil }
    self.init(address, UInt16(port))
  }
}

extension Endpoint: CustomStringConvertible {
  /// `ADDRESS:PORT`, of IPv6 `[ADDRESS]:PORT`.
  public var description: String {
    address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }
}

/// The two endpoints of a connection, as one side sees them.
public struct FourTuple: Hashable, Sendable {
  /// This side.
  public var local: Endpoint
  /// The other side.
  public var remote: Endpoint

  /// A four-tuple from its two endpoints.
  @inlinable public init(local: Endpoint, remote: Endpoint) {
    self.local = local
    self.remote = remote
  }
}

extension FourTuple {
  /// Hashes as few words as there are: this is looked up for every received packet. Both families
  /// have all of an address hashed, since a peer chooses its own.
  @inlinable
  public func hash(into hasher: inout Hasher) {
    if local.address.isIPv4 && remote.address.isIPv4 {
      hasher.combine(local.address.low << 32 | UInt64(remote.address.ipv4))
    } else {
      hasher.combine(local.address)
      hasher.combine(remote.address)
    }
    hasher.combine(UInt32(local.port) << 16 | UInt32(remote.port))
  }

  /// Whether the connection is one of IPv4.
  @inlinable public var isIPv4: Bool { remote.address.isIPv4 }

  /// The family of both addresses.
  @inlinable public var family: AddressFamily { remote.address.family }
}

extension FourTuple: CustomStringConvertible {
  /// `LOCAL-REMOTE`.
  public var description: String { "\(local)-\(remote)" }
}
