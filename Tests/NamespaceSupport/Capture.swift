// A capture of an interface that is judged while it runs, so that a run of any length needs no
// memory and every byte is looked at.

import CSockets
import Glibc
import Wire

/// Sees every packet of a capture, in order.
public protocol PacketObserver: Sendable {
  /// Takes one packet; `bytes` is the IP packet.
  mutating func observe(_ packet: CapturedPacket, bytes: RawSpan)
}

/// A running capture of one interface, both directions.
public final class Capture<Observer: PacketObserver>: Sendable {
  private let file: OpenFile
  private let observer: Shared<Observer>
  private let stop = Signal()
  private let thread: Background<Failure?>

  /// Starts to capture.
  public init(
    of interface: String = Host.interface, in namespace: Namespace, _ observer: Observer
  ) throws {
    let file = try namespace.enter { try openTap(interface) }
    let shared = Shared(observer)
    let stop = stop
    self.file = file
    self.observer = shared
    thread = Background {
      do {
        try watch(file, into: shared, until: stop)
        return nil
      } catch {
        return Failure("\(error)")
      }
    }
  }

  /// What the observer has found until now.
  public var current: Observer { observer.current }

  /// Ends it, once every packet that has come is looked at. Throws where one was missed.
  public func finish() throws -> Observer {
    stop.raise()
    if let failure = thread.join() { throw failure }
    var statistics = tpacket_stats()
    var size = socklen_t(MemoryLayout<tpacket_stats>.size)
    try check(
      unsafe getsockopt(file.number, SOL_PACKET, PACKET_STATISTICS, &statistics, &size),
      "PACKET_STATISTICS")
    guard statistics.tp_drops == 0 else {
      throw Failure("the capture missed \(statistics.tp_drops) packets")
    }
    return observer.current
  }
}

private let etherHeaderCount = 14
private let offloadHeaderCount = 10

// ETH_P_ALL, because a tap for one protocol is not shown what the host itself sends (packet(7)).
private func openTap(_ interface: String) throws -> OpenFile {
  let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  let file = OpenFile(try check(socket(AF_PACKET, type, 0), "socket AF_PACKET"))
  try file.set(SOL_SOCKET, SO_RCVBUFFORCE, to: 256 << 20)
  try file.set(SOL_PACKET, PACKET_VNET_HDR, to: 1)
  try file.setReceiveTimeout(.milliseconds(50))
  let index = Int32(unsafe if_nametoindex(interface))
  guard index > 0 else { throw Failure(call: "if_nametoindex \(interface)") }
  try check(cs_bind_packet(file.number, UInt16(ETH_P_ALL), index), "bind \(interface)")
  return file
}

private func watch(
  _ file: OpenFile, into observer: Shared<some PacketObserver>, until stop: Signal
) throws {
  var batch = MessageBatch(count: 64, capacity: 66_048)
  while true {
    let isLastRound = stop.isRaised
    let count = try batch.receive(from: file)
    if count == 0, isLastRound { return }
    observer.update { observer in
      for index in 0..<count { show(batch[index], to: &observer) }
    }
  }
}

private func show(_ frame: RawSpan, to observer: inout some PacketObserver) {
  let start = offloadHeaderCount + etherHeaderCount
  guard frame.byteCount > start else { return }
  let bytes = frame.extracting(start..<frame.byteCount)
  switch frame.be16(at: start - 2) {
  case 0x0800: break
  // But for what neighbours ask, and for groups: those have hop-by-hop options. Pings count.
  case 0x86DD:
    guard bytes.byteCount > 40, bytes.byte(at: 6) != 0 else { return }
    guard bytes.byte(at: 6) != 58 || [128, 129].contains(bytes.byte(at: 40)) else { return }
  default: return
  }
  // struct virtio_net_hdr, host byte order: flags, gso_type, hdr_len, gso_size, …
  let needsChecksum = frame.byte(at: 0) & 1 != 0
  let segmentSize = frame.byte(at: 1) == 0 ? nil : Int(frame.be16(at: 4).byteSwapped)
  guard
    let packet = CapturedPacket(
      parsing: bytes, needsChecksum: needsChecksum, segmentSize: segmentSize)
  else { return }
  observer.observe(packet, bytes: bytes)
}
