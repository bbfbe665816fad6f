// Addresses as users write them, with a sentence for each way in which they can be wrong.

import Driver
import Wire

extension Setting {
  /// The address of this host or another one; not the wildcard, multicast or broadcast.
  func hostAddress() throws(StartError) -> IPAddress {
    let address = try address(in: text[...])
    try checkHost(address)
    return address
  }

  /// A server as a client names it, and whether there was a port behind it. Where it is a name the
  /// address is the wildcard.
  func serverAddress(
    mayBeNamed: Bool
  ) throws(StartError) -> (address: IPAddress, name: String?, hasPort: Bool) {
    let (host, port) = try split()
    if let port, self.port(port) == nil { throw badPort(port) }
    if mayBeNamed, host.looksLikeName { return (.any, String(host), port != nil) }
    let address = try address(in: host)
    try checkHost(address)
    return (address, nil, port != nil)
  }

  /// An address or a name, and a port to send to. Where it is a name the address is the wildcard.
  func namedTarget() throws(StartError) -> (endpoint: Endpoint, name: String?) {
    let (host, port) = try split()
    guard host.looksLikeName, let port else { return (try target(), nil) }
    guard let number = self.port(port) else { throw badPort(port) }
    return (Endpoint(.any, number), String(host))
  }

  /// An address and a port to send to.
  func target() throws(StartError) -> Endpoint {
    let endpoint = try endpoint()
    try checkLink(endpoint.address)
    guard endpoint.address.isHost else {
      throw error("is not the address of a host: for \(what) on this one use \(example(sample)).")
    }
    return endpoint
  }

  /// An address and a port to listen at; the address may be the wildcard.
  func listener() throws(StartError) -> Endpoint {
    let endpoint = try endpoint()
    try checkLink(endpoint.address)
    guard endpoint.address.isHost || endpoint.address.isAny else {
      throw error("is not an address to listen at: for apps on this host use \(example(sample)).")
    }
    return endpoint
  }

  private func checkHost(_ address: IPAddress) throws(StartError) {
    try checkLink(address)
    guard address.isHost else { throw error("is not the address of a host.") }
  }

  private func checkLink(_ address: IPAddress) throws(StartError) {
    guard address.isLinkLocal else { return }
    throw error(
      "is a link-local address, which is another host's on each link: use one of a wider scope.")
  }

  private var what: String { name == .decoy ? "a web server" : "the app" }

  private var sample: String {
    switch name {
    case .ludp: "127.0.0.1:30000"
    case .decoy: "127.0.0.1:80"
    default: "127.0.0.1:9999"
    }
  }

  private func endpoint() throws(StartError) -> Endpoint {
    let (host, port) = try split()
    let address = try address(in: host)
    guard let port else {
      let sample = address.isIPv4 ? sample : "[\(address)]\(sample.drop { $0 != ":" })"
      throw error("has no port: write, for example, \(example(sample)).")
    }
    guard let number = self.port(port) else { throw badPort(port) }
    return Endpoint(address, number)
  }

  private func split() throws(StartError) -> (host: Substring, port: Substring?) {
    if text.hasPrefix("[") { return try splitBracketed() }
    // More than one colon: an IPv6 address alone.
    guard let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon else {
      return (text[...], nil)
    }
    return (text[..<colon], text[text.index(after: colon)...])
  }

  /// `[ADDRESS]` or `[ADDRESS]:PORT`.
  private func splitBracketed() throws(StartError) -> (host: Substring, port: Substring?) {
    guard let end = text.lastIndex(of: "]") else {
      throw error("has no \"]\" behind the address: write it like [2001:db8::1]:9999.")
    }
    let host = text[..<end].dropFirst()
    let rest = text[text.index(after: end)...]
    // What is in brackets is no name and no IPv4 address (RFC 3986, section 3.2.2).
    guard host.contains(":"), rest.isEmpty || rest.first == ":" else { throw notIPv6() }
    return (host, rest.isEmpty ? nil : rest.dropFirst())
  }

  private func notIPv6() -> StartError {
    error("is not an IPv6 address: write it like 2001:db8::1, with a port [2001:db8::1]:9999.")
  }

  private func port(_ digits: Substring) -> UInt16? {
    let isNumber = !digits.isEmpty && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
    return isNumber ? UInt16(digits).flatMap { $0 == 0 ? nil : $0 } : nil
  }

  private func badPort(_ port: Substring) -> StartError {
    error("has \"\(port)\" for a port: use 1-65535, for example \(example(sample)).")
  }

  private func address(in host: Substring) throws(StartError) -> IPAddress {
    if let address = IPAddress(host) { return address }
    if host.isEmpty { throw error("has no address: write, for example, \(example(sample)).") }
    guard !host.contains(":") else { throw notIPv6() }
    guard name != .lcapIp, host.looksLikeName else {
      throw error("is not an IPv4 address: write it like 192.0.2.1, without leading zeros.")
    }
    throw error(
      "is a name where only an address will do: find one with: getent ahosts \(host)")
  }
}

extension Substring {
  /// Whether this could be a host's name (RFC 1123): its last label is not a number. Only such a
  /// text is looked up, or put into a command for the user to copy.
  fileprivate var looksLikeName: Bool {
    let labels = split(separator: ".")
    let isName = utf8.allSatisfy {
      switch $0 {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    return isName && utf8.count <= 253 && labels.last?.allSatisfy(\.isNumber) == false
      && first != "-"
  }
}
