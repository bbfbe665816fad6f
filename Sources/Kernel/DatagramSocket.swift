// The app's side of the tunnel: kernel UDP (udp(7)), many datagrams in one message both ways.

import CLinux
import Glibc
public import Wire

/// Memory for the messages of one system call. One serves all sockets of a thread: a server has a
/// socket for each flow.
public struct DatagramMessages: ~Copyable {
  private static let batchSize = 64
  fileprivate var incoming = IncomingMessages(capacity: batchSize)
  fileprivate var outgoing = OutgoingMessages(
    messages: batchSize, pieces: batchSize * DatagramBatch.runLimit)

  /// Allocates the memory.
  public init() {}

  /// How often a peer's host said that nothing listens at the port that was sent to.
  public var refusals: Int { incoming.refusals }
}

/// A UDP socket, for many senders or connected to one.
public struct DatagramSocket: ~Copyable {
  /// A slot of a `PacketBatch` of this size takes what UDP_GRO merges; a multiple of 64.
  public static let slotSize = 65_536
  private static let bufferSize: Int32 = 4 << 20

  /// Readable when datagrams have come.
  public let descriptor: Descriptor
  /// Where the receive buffer is smaller than the 4 MiB wanted.
  public let receiveBufferLimit: BufferLimit?
  /// Where the send buffer is smaller than the 4 MiB wanted.
  public let sendBufferLimit: BufferLimit?
  private let isConnected: Bool

  /// Receives what is sent to `endpoint`; port 0 lets the kernel choose.
  public init(listeningAt endpoint: Endpoint) throws(SystemError) {
    let descriptor = try openSocket("UDP", domain: AF_INET, type: SOCK_DGRAM)
    try endpoint.bind(descriptor, transport: "UDP")
    try self.init(descriptor, isConnected: false)
  }

  /// Sends to `endpoint`, and receives from there only.
  public init(connectedTo endpoint: Endpoint) throws(SystemError) {
    let descriptor = try openSocket("UDP", domain: AF_INET, type: SOCK_DGRAM)
    let number = descriptor.rawValue
    var address = endpoint.socketAddress
    try check(
      "connect UDP to \(endpoint)", remedy: "See ip route get \(endpoint.address)"
    ) {
      unsafe rs_connect(number, &address, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
    try self.init(descriptor, isConnected: true)
  }

  private init(_ descriptor: consuming Descriptor, isConnected: Bool) throws(SystemError) {
    let receiveBufferLimit = try enlarge(.receive, of: descriptor, to: Self.bufferSize)
    let sendBufferLimit = try enlarge(.send, of: descriptor, to: Self.bufferSize)
    try setOption("UDP_GRO", of: descriptor, level: SOL_UDP, option: UDP_GRO, to: 1)
    self.descriptor = descriptor
    self.receiveBufferLimit = receiveBufferLimit
    self.sendBufferLimit = sendBufferLimit
    self.isConnected = isConnected
  }

  /// The address and port that the socket has.
  package func endpoint() throws(SystemError) -> Endpoint { try Endpoint(boundTo: descriptor) }

  /// Fills `batch` anew with the datagrams that are there, and gives their number. Where the kernel
  /// merged several of one sender into one slot, its `segmentSize` says how to split it.
  public func receive(
    into batch: inout PacketBatch, using messages: inout DatagramMessages
  ) throws(SystemError) -> Int {
    batch.removeAll()
    let count = try messages.incoming.receive(from: descriptor, into: batch)
    for index in 0..<count {
      guard let length = messages.incoming.length(of: index) else { continue }
      let size = messages.incoming.control(Int32.self, of: index, level: SOL_UDP, kind: UDP_GRO)
      batch.append(
        PacketSlot(
          offset: index &* batch.slotSize, length: length, segmentSize: Int(size ?? 0),
          source: messages.incoming.source(of: index)))
    }
    return batch.count
  }

  /// Sends some runs of a batch, to their destinations, or where the socket is connected to.
  /// `payloads` is what the datagrams lie in.
  public func send(
    _ datagrams: borrowing DatagramBatch, runs: Range<Int>, payloads: borrowing PacketBatch,
    using messages: inout DatagramMessages
  ) -> SendResult {
    var result = SendResult()
    for index in runs {
      let run = datagrams[index]
      guard
        messages.outgoing.open(
          pieces: run.pieces.count, segments: run.pieces.count, on: descriptor, into: &result)
      else { continue }
      if !isConnected { messages.outgoing.address(run.destination.socketAddress) }
      if run.pieces.count > 1 { messages.outgoing.setSegmentSize(run.segmentSize) }
      for piece in run.pieces {
        messages.outgoing.add(datagrams.bytes(of: datagrams.piece(piece), packets: payloads))
      }
    }
    messages.outgoing.flush(on: descriptor, into: &result)
    return result
  }
}
