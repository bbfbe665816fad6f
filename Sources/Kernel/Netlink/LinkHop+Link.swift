// From a device and a neighbour to the link header that leads there.

import CLinux

extension LinkHop {
  /// The hop to a neighbour on `link`. Nil where the neighbour is not known, or the device's link
  /// header is none that we can write: loopback, tunnels of other kinds.
  public init?(on link: Link, to neighbour: LinkAddress?) {
    switch Int32(link.hardwareType) {
    case ARPHRD_NONE, ARPHRD_PPP, ARPHRD_RAWIP: self.init(interfaceIndex: link.index)
    case ARPHRD_ETHER:
      guard let source = link.address, let neighbour else { return nil }
      self.init(
        interfaceIndex: link.index, destination: neighbour.rawValue, source: source.rawValue)
    default: return nil
    }
  }
}
