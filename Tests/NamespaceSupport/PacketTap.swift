// What arrives at a host, packet by packet, for a test that answers by hand.

import CSockets
import Glibc
import Wire

/// A socket that hears every IPv4 packet that arrives at a host, whoever it is for.
public struct PacketTap: ~Copyable {
  private let file: OpenFile
  private var batch = MessageBatch(count: 64, capacity: 2048)

  /// Starts to listen.
  public init(at host: Host) throws {
    file = try host.namespace.enter {
      // Bound to a protocol, it does not hear what the host itself sends (packet(7)).
      let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let file = OpenFile(try check(socket(AF_PACKET, type, 0), "socket AF_PACKET"))
      try file.set(SOL_SOCKET, SO_RCVBUFFORCE, to: 64 << 20)
      try file.setReceiveTimeout(.milliseconds(1))
      let index = Int32(unsafe if_nametoindex(Host.interface))
      try check(cs_bind_packet(file.number, UInt16(ETHERTYPE_IP), index), "bind")
      return file
    }
  }

  /// Shows what has arrived, up to 64 packets; waits a millisecond where there is nothing.
  public mutating func receive(_ body: (RawSpan) throws -> Void) throws {
    for index in 0..<(try batch.receive(from: file)) { try body(batch[index]) }
  }
}
