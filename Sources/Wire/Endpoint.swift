// An address with a port, and two of them: what names a connection.

/// An address and a port.
public struct Endpoint: Hashable, Sendable {
  /// The address.
  public var address: IPv4Address
  /// The port, host byte order.
  public var port: UInt16

  /// An endpoint from its parts.
  @inlinable public init(_ address: IPv4Address, _ port: UInt16) {
    self.address = address
    self.port = port
  }

  /// Parses `ADDRESS:PORT`, with a port of 0-65535.
  public init?(_ text: some StringProtocol) {
    guard let colon = text.lastIndex(of: ":"),
      let address = IPv4Address(text[..<colon]),
      let port = decimal(text[text.index(after: colon)...].utf8, upTo: 65535)
    else { return nil }
    self.init(address, UInt16(port))
  }
}

extension Endpoint: CustomStringConvertible {
  /// `ADDRESS:PORT`.
  public var description: String { "\(address):\(port)" }
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
  /// Hashes two words instead of four fields: this is looked up for every received packet.
  @inlinable
  public func hash(into hasher: inout Hasher) {
    hasher.combine(UInt64(local.address.rawValue) << 32 | UInt64(remote.address.rawValue))
    hasher.combine(UInt32(local.port) << 16 | UInt32(remote.port))
  }
}

extension FourTuple: CustomStringConvertible {
  /// `LOCAL-REMOTE`.
  public var description: String { "\(local)-\(remote)" }
}
