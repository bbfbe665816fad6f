// Addresses and lists of ports as people write them.

import Wire

extension FuzzTarget {
  static let text = FuzzTarget(name: "text") { input in
    let text = String(decoding: Script(input).rest, as: UTF8.self)
    if let address = IPAddress(text) {
      require(IPAddress(address.description) == address, "an address is read as it is written")
      require(
        !address.isIPv4 || text.contains(":") || address.description == text,
        "dotted decimal has one form")
    }
    if let endpoint = Endpoint(text) {
      require(Endpoint(endpoint.description) == endpoint, "an endpoint is read as it is written")
    }
    guard let ports = try? PortSet(parsing: text) else { return }
    require((1...65535).contains(ports.count), "there are ports")
    require((try? PortSet(parsing: ports.description)) == ports, "ports read as they are written")
    require(ports.contains(ports[0]) && ports.contains(ports[ports.count - 1]), "ends are inside")
    for (one, next) in zip(ports.ranges, ports.ranges.dropFirst()) {
      require(Int(one.upperBound) + 1 < Int(next.lowerBound), "there is a gap between two ranges")
    }
  } seeds: {
    let texts = [
      "address": "192.0.2.1", "endpoint": "192.0.2.1:65535",
      "groups": "2001:DB8:0::1:2", "mapped": "::ffff:192.0.2.1", "bracketed": "[2001:db8::1]:443",
      "leading-zero": "192.0.2.01",
      "ports": "80,443,10001-10010", "spaces": " 80 , 1 - 65535", "reversed": "20-10",
      "touching": "1-5,6,7-9,3-4", "too-large": "65536", "digits": "3\u{0664}", "empty": ",",
    ]
    return texts.mapValues { Array($0.utf8) }
  }
}
