// From a device and a neighbour to the link header that leads there.

import CLinux
public import Wire

extension LinkHop {
  /// The hop for packets of `family` to a neighbour on `link`. Nil where the neighbour is not known, or
  /// the device's link header is none that we can write: loopback, tunnels of other kinds.
  public init?(on link: Link, to neighbour: LinkAddress?, family: AddressFamily = .ipv4) {
    switch Int32(link.hardwareType) {
    case ARPHRD_NONE, ARPHRD_PPP, ARPHRD_RAWIP:
      self.init(interfaceIndex: link.index, family: family)
    case ARPHRD_ETHER:
      guard let source = link.address, let neighbour else { return nil }
      self.init(
        interfaceIndex: link.index, destination: neighbour.rawValue, source: source.rawValue,
        family: family)
    default: return nil
    }
  }
}
