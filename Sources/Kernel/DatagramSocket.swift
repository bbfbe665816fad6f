// Kernel UDP (udp(7)), many datagrams in one message both ways: the app's side of the tunnel, and the
// channels on UDP.

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
  public var refusals: Int { incoming.refusals &+ outgoing.refusals }
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
  private let family: AddressFamily
  /// Whom the socket is connected to; nil where it has any peers.
  public let peer: Endpoint?
  /// For a socket that carries channels: its own endpoint.
  private let own: Endpoint?

  /// Receives what is sent to `endpoint`; port 0 lets the kernel choose. The wildcard of IPv6 takes in
  /// both families.
  public init(listeningAt endpoint: Endpoint) throws(SystemError) {
    let descriptor = try Self.open(for: endpoint.address)
    try endpoint.bind(descriptor, transport: "UDP")
    try self.init(descriptor, family: endpoint.address.family)
  }

  /// Sends to `endpoint`, and receives from there only.
  public init(connectedTo endpoint: Endpoint) throws(SystemError) {
    let family = endpoint.address.family
    let descriptor = try openSocket("UDP", domain: family.domain, type: SOCK_DGRAM)
    try Self.connect(descriptor, to: endpoint)
    try self.init(descriptor, family: family, peer: endpoint)
  }

  /// Carries channels: at `local`, where port 0 lets the kernel choose and the wildcard of IPv6 takes in
  /// both families, with any peer or one. Tells where datagrams were sent to, and never lets one be
  /// fragmented. With `interface` they leave and come by that one only; with `mark` what leaves is
  /// marked (CAP_NET_ADMIN).
  public init(
    carryingAt local: Endpoint, connectedTo peer: Endpoint? = nil, interface: Int32? = nil,
    mark: UInt32? = nil
  ) throws(SystemError) {
    let descriptor = try Self.open(for: local.address)
    if let interface {
      try setOption(
        "SO_BINDTOIFINDEX", of: descriptor, level: SOL_SOCKET, option: SO_BINDTOIFINDEX,
        to: interface)
    }
    try setMark(mark, of: descriptor)
    try Self.prepareToCarry(descriptor, local.address.family)
    try local.bind(descriptor, transport: "UDP")
    if let peer { try Self.connect(descriptor, to: peer) }
    let own = try Endpoint(boundTo: descriptor)
    try self.init(descriptor, family: local.address.family, peer: peer, own: own)
  }

  /// A socket that is to be bound to `address`; what net.ipv6.bindv6only says does not matter.
  private static func open(for address: IPAddress) throws(SystemError) -> Descriptor {
    let descriptor = try openSocket("UDP", domain: address.family.domain, type: SOCK_DGRAM)
    if address.family == .ipv6 { try setVersion6Only(of: descriptor, to: !address.isAny) }
    return descriptor
  }

  /// Has the kernel tell where datagrams were sent to, and never fragment one, whatever it believes of
  /// the path: the engine knows what fits. A socket of IPv6 may have peers of IPv4, whose addresses it
  /// tells as mapped ones (`ip6_datagram_recv_common_ctl`).
  private static func prepareToCarry(
    _ descriptor: borrowing Descriptor, _ family: AddressFamily
  ) throws(SystemError) {
    let (ipv4, ipv6) = (Int32(IPPROTO_IP), Int32(IPPROTO_IPV6))
    try setOption(
      "IP_MTU_DISCOVER", of: descriptor, level: ipv4, option: IP_MTU_DISCOVER,
      to: IP_PMTUDISC_PROBE)
    guard family == .ipv6 else {
      return try setOption("IP_PKTINFO", of: descriptor, level: ipv4, option: IP_PKTINFO, to: 1)
    }
    try setOption(
      "IPV6_MTU_DISCOVER", of: descriptor, level: ipv6, option: IPV6_MTU_DISCOVER,
      to: IPV6_PMTUDISC_PROBE)
    try setOption("IPV6_DONTFRAG", of: descriptor, level: ipv6, option: IPV6_DONTFRAG, to: 1)
    try setOption(
      "IPV6_RECVPKTINFO", of: descriptor, level: ipv6, option: IPV6_RECVPKTINFO, to: 1)
  }

  private static func connect(
    _ descriptor: borrowing Descriptor, to endpoint: Endpoint
  ) throws(SystemError) {
    let result = endpoint.connect(descriptor)
    try check(
      "connect UDP to \(endpoint)", remedy: "See ip route get \(endpoint.address)"
    ) { result }
  }

  private init(
    _ descriptor: consuming Descriptor, family: AddressFamily, peer: Endpoint? = nil,
    own: Endpoint? = nil
  ) throws(SystemError) {
    let receiveBufferLimit = try enlarge(.receive, of: descriptor, to: Self.bufferSize)
    let sendBufferLimit = try enlarge(.send, of: descriptor, to: Self.bufferSize)
    try setOption("UDP_GRO", of: descriptor, level: SOL_UDP, option: UDP_GRO, to: 1)
    self.descriptor = descriptor
    self.receiveBufferLimit = receiveBufferLimit
    self.sendBufferLimit = sendBufferLimit
    self.family = family
    self.peer = peer
    self.own = own
  }

  /// The address and port that the socket has.
  public func endpoint() throws(SystemError) -> Endpoint { try Endpoint(boundTo: descriptor) }

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
          source: messages.incoming.source(of: index),
          destination: destination(of: index, messages)))
    }
    return batch.count
  }

  /// Where a datagram was sent to; it need not be the socket's own address, which may be any.
  private func destination(of index: Int, _ messages: borrowing DatagramMessages) -> Endpoint {
    guard let own else { return Endpoint(.any, 0) }
    return Endpoint(messages.incoming.destination(of: index, on: family) ?? own.address, own.port)
  }

  /// Sends some runs of a batch of segments, each from and to its endpoints.
  public func send(
    _ segments: borrowing SegmentBatch, runs: Range<Int>, payloads: borrowing PacketBatch,
    using messages: inout DatagramMessages
  ) -> SendResult {
    var result = SendResult()
    for index in runs {
      let run = segments[index]
      guard let path = run.datagramPath,
        messages.outgoing.open(
          pieces: run.pieces.count, segments: run.segmentCount, on: descriptor, into: &result)
      else { continue }
      if peer == nil {
        messages.outgoing.address(SocketAddress(path.remote, on: family))
        messages.outgoing.setSource(path.local.address, on: family)
      }
      if run.segmentCount > 1 { messages.outgoing.setSegmentSize(run.segmentSize) }
      for piece in run.pieces {
        messages.outgoing.add(segments.bytes(of: segments.piece(piece), packets: payloads))
      }
    }
    messages.outgoing.flush(on: descriptor, into: &result)
    return result
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
      if peer == nil { messages.outgoing.address(SocketAddress(run.destination, on: family)) }
      if run.pieces.count > 1 { messages.outgoing.setSegmentSize(run.segmentSize) }
      for piece in run.pieces {
        messages.outgoing.add(datagrams.bytes(of: datagrams.piece(piece), packets: payloads))
      }
    }
    messages.outgoing.flush(on: descriptor, into: &result)
    return result
  }
}
