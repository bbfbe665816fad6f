// What the engine's carriers are in the kernel's terms.

import Engine
import Kernel
import Wire

extension Carrier {
  /// What carries its segments in IP packets of our own; nil where kernel UDP sockets do.
  var tunnelProtocol: TunnelProtocol? {
    switch self {
    case .tcp: .tcp
    case .udp: nil
    case .icmp: .icmp
    }
  }

  /// The number in the IP header of its packets; 17 is UDP.
  func protocolNumber(_ family: AddressFamily) -> UInt8 {
    tunnelProtocol?.number(family) ?? 17
  }
}

extension [Carrier] {
  /// What they put into IP packets of our own; none where there are kernel UDP sockets alone.
  var protocols: [TunnelProtocol] { compactMap(\.tunnelProtocol) }

  /// Their names as in a sentence.
  var names: String { map { $0.rawValue.uppercased() }.joined(separator: " and ") }
}
