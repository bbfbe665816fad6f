// Which packets the AF_PACKET sockets receive: those that are ours and for this host, and what routers say of
// segments of ours that were too large.

import CLinux
import Glibc
public import Wire

/// The filters of the tunnel's packet socket. Membership is a binary search in the program, so
/// that what others receive costs them little: 3 instructions a range of ports or address at
/// most, of 4096 (some 1,300 in all). Where there are more addresses than fit, ranges stand for
/// neighbouring ones, as narrow as can be.
public enum TunnelFilter {
  /// The most ranges, of ports and of addresses together; addresses get a few in any case.
  private static let rangeLimit = 1200
  private static let addressRangeMinimum = 16

  /// What a server receives of `family`: what is of `protocols`, from anybody to one of `ports`, where
  /// there are ports, at one of the local `addresses`.
  public static func server(
    ports: PortSet, addresses: [IPAddress], family: AddressFamily = .ipv4,
    protocols: [TunnelProtocol] = [.tcp]
  ) throws(SystemError) -> SocketFilter {
    try program(family, protocols, from: nil, Segments(isServer: true, ports: ports), addresses)
  }

  /// What a client receives of `family`: what is of `protocols`, from one of `servers`, the addresses
  /// that its server may have, and one of the server's `ports`, where there are ports, to one of the local
  /// `addresses`.
  public static func client(
    servers: [IPAddress], ports: PortSet, addresses: [IPAddress], family: AddressFamily = .ipv4,
    protocols: [TunnelProtocol] = [.tcp]
  ) throws(SystemError) -> SocketFilter {
    let servers = servers.filter { $0.family == family }
    return try program(
      family, protocols, from: servers, Segments(isServer: false, ports: ports), addresses)
  }

  /// What is wanted of the headers behind IP's.
  fileprivate struct Segments {
    let isServer: Bool
    let ports: PortSet

    /// Where in the TCP header the server's port is.
    var portOffset: UInt32 { isServer ? 2 : 0 }
    /// Where it is in one that this side sent.
    var ownPortOffset: UInt32 { isServer ? 0 : 2 }
    var portRanges: [ClosedRange<UInt32>] {
      ports.ranges.map { UInt32($0.lowerBound)...UInt32($0.upperBound) }
    }
    /// The other side's echo messages.
    var echo: EchoKind { isServer ? .request : .reply }
  }

  private static func program(
    _ family: AddressFamily, _ protocols: [TunnelProtocol], from sources: [IPAddress]?,
    _ segments: Segments, _ addresses: [IPAddress]
  ) throws(SystemError) -> SocketFilter {
    var filter = FilterAssembler()
    let (reject, ports) = (filter.label(), filter.label())
    filter.load(.packetType)
    filter.jump(if: .equal, UInt32(PACKET_HOST), otherwise: reject)
    filter.pointXAtNetworkHeader()
    let local = addresses.filter { $0.family == family }
    let room = max(addressRangeMinimum, rangeLimit - segments.ports.ranges.count)
    if protocols.contains(.tcp) {
      filter.checkTooBig(segments, family, ports: ports, otherwise: reject)
    }
    switch family {
    case .ipv4:
      filter.requireIPv4(
        of: protocols, from: sources.map { covering($0, atMost: room) },
        to: covering(local, atMost: room), otherwise: reject)
    case .ipv6:
      filter.requireIPv6(
        of: protocols, from: sources, to: local, atMost: room / 4, otherwise: reject)
    }
    filter.require(segments, of: protocols, family, ports: ports, otherwise: reject)
    filter.place(reject)
    filter.finish(accepting: 0)
    do { return try filter.assemble() } catch {
      throw SystemError(
        call: "build the socket filter (\(error))", code: E2BIG,
        remedy: "Use fewer ranges of ports: \(segments.ports.ranges.count) do not fit")
    }
  }

  /// The IPv4 addresses, each by itself; where those are more than `limit` ranges, the smallest gaps
  /// between them are filled.
  private static func covering(
    _ addresses: [IPAddress], atMost limit: Int
  ) -> [ClosedRange<UInt32>] {
    let sorted = Set(addresses.map(\.ipv4)).sorted()
    guard sorted.count > limit else { return sorted.map { $0...$0 } }
    let widest = sorted.indices.dropFirst().sorted {
      sorted[$0] - sorted[$0 - 1] > sorted[$1] - sorted[$1 - 1]
    }
    let starts = [0] + widest.prefix(limit - 1).sorted()
    let ends = starts.dropFirst() + [sorted.count]
    return zip(starts, ends).map { sorted[$0]...sorted[$1 - 1] }
  }
}

extension FilterAssembler {
  /// X = where the IP header starts, as loads count. `SKF_NET_OFF` finds it on every device,
  /// but older kernels look no further there than the linear part of the packet
  /// (`bpf_internal_load_pointer_neg_helper`), and drivers such as iwlwifi leave the headers
  /// outside of it. A plain offset has no such limit; so Ethernet takes that. Its header has no
  /// VLAN tag here (`skb_vlan_untag`).
  fileprivate mutating func pointXAtNetworkHeader() {
    let ethernet = label()
    let found = label()
    load(.hardwareType)
    jump(if: .equal, UInt32(ARPHRD_ETHER), then: ethernet)
    jump(if: .equal, UInt32(ARPHRD_LOOPBACK), then: ethernet)
    setX(UInt32(bitPattern: SKF_NET_OFF))
    jump(to: found)
    place(ethernet)
    setX(UInt32(ETH_HLEN))
    place(found)
  }

  /// The word of memory for the number of the protocol.
  static let protocolWord: UInt32 = 0

  /// Goes on with X behind the IPv4 header there, options included, where it is of one of `protocols`,
  /// whole, and from and to these.
  fileprivate mutating func requireIPv4(
    of protocols: [TunnelProtocol], from sources: [ClosedRange<UInt32>]?,
    to addresses: [ClosedRange<UInt32>], otherwise reject: Label
  ) {
    let found = label()
    load(.byte, atX: 9)
    for wanted in protocols { jump(if: .equal, UInt32(wanted.number(.ipv4)), then: found) }
    jump(to: reject)
    place(found)
    store(to: Self.protocolWord)
    load(.half, atX: 6)
    jump(if: .anyBitSet, 0x3FFF, then: reject)  // MF and the offset, not DF
    if let sources {
      load(.word, atX: 12)
      require(in: sources)
    }
    load(.word, atX: 16)
    require(in: addresses)
    load(.byte, atX: 0)
    and(0x0F)
    shiftLeft(2)
    addX()
    moveToX()
  }

  /// Goes on at `ports`, with our port as A, where X points at the IP header of what a router says of a
  /// segment of TCP that was too large (RFC 1191, section 4; RFC 4443, section 3.2); whom it is about the
  /// engine knows by the four-tuple. Goes on behind, with X as it was, where there is no such message.
  /// Neither it nor our segment has options.
  fileprivate mutating func checkTooBig(
    _ segments: TunnelFilter.Segments, _ family: AddressFamily, ports: Label,
    otherwise reject: Label
  ) {
    let other = label()
    let header: UInt32 = family == .ipv4 ? 20 : 40
    let quoted = header + 8
    if family == .ipv4 {
      load(.byte, atX: 0)
      jump(if: .equal, 0x45, otherwise: other)
    }
    load(.byte, atX: family == .ipv4 ? 9 : 6)
    jump(if: .equal, UInt32(TunnelProtocol.icmp.number(family)), otherwise: other)
    load(.half, atX: header)  // type and code
    jump(if: .equal, family == .ipv4 ? 0x0304 : 0x0200, otherwise: other)
    load(.byte, atX: quoted + (family == .ipv4 ? 9 : 6))
    jump(if: .equal, UInt32(IPPROTO_TCP), otherwise: reject)
    // On every way to a load from memory there has to be a store (`check_load_and_stores`).
    store(to: Self.protocolWord)
    load(.half, atX: quoted + header + segments.ownPortOffset)
    jump(to: ports)
    place(other)
  }

  /// Accepts where X points at a segment of a tunnel, of the protocol whose number is stored; at `ports`, where
  /// A is one of its ports.
  fileprivate mutating func require(
    _ segments: TunnelFilter.Segments, of protocols: [TunnelProtocol], _ family: AddressFamily,
    ports: Label, otherwise reject: Label
  ) {
    for wanted in protocols {
      let next = label()
      load(from: Self.protocolWord)
      jump(if: .equal, UInt32(wanted.number(family)), otherwise: next)
      switch wanted {
      case .tcp:
        load(.half, atX: segments.portOffset)
        place(ports)
        require(in: segments.portRanges)
      case .icmp: requireEcho(segments.echo, family, otherwise: reject)
      }
      finish(accepting: .max)
      place(next)
    }
  }

  /// Goes on where X points at an echo message of a tunnel.
  private mutating func requireEcho(
    _ kind: EchoKind, _ family: AddressFamily, otherwise reject: Label
  ) {
    load(.half, atX: 0)  // type and code
    jump(if: .equal, UInt32(kind.type(family)) << 8, otherwise: reject)
    load(.word, atX: UInt32(EchoHeader.badgeOffset))
    jump(if: .equal, kind.rawValue, otherwise: reject)
  }

  /// Goes on where A is in one of the ascending `ranges`, else rejects. A search over 64 of them
  /// has at most 192 instructions, so that its jumps are short; behind each are its own ends.
  fileprivate mutating func require(in ranges: [ClosedRange<UInt32>]) {
    let found = label()
    for start in stride(from: 0, to: ranges.count, by: 64) {
      let next = label()
      let foundHere = label()
      let reject = label()
      let end = min(start + 64, ranges.count)
      if end < ranges.count {
        jump(if: .greaterOrEqual, ranges[end].lowerBound, then: next)
      }
      search(ranges[start..<end], found: foundHere, otherwise: reject)
      place(reject)
      finish(accepting: 0)
      place(foundHere)
      jump(to: found)
      place(next)
    }
    if ranges.isEmpty { finish(accepting: 0) }
    place(found)
  }

  private mutating func search(
    _ ranges: ArraySlice<ClosedRange<UInt32>>, found: Label, otherwise reject: Label
  ) {
    switch ranges.count {
    case 1: check(ranges[ranges.startIndex], found: found, otherwise: reject)
    default:
      let middle = ranges.startIndex + ranges.count / 2
      let upper = label()
      jump(if: .greaterOrEqual, ranges[middle].lowerBound, then: upper)
      search(ranges[..<middle], found: found, otherwise: reject)
      place(upper)
      search(ranges[middle...], found: found, otherwise: reject)
    }
  }

  private mutating func check(
    _ range: ClosedRange<UInt32>, found: Label, otherwise reject: Label
  ) {
    if range.count == 1 {
      jump(if: .equal, range.lowerBound, then: found, otherwise: reject)
    } else {
      jump(if: .greaterOrEqual, range.lowerBound, otherwise: reject)
      jump(if: .greater, range.upperBound, then: reject, otherwise: found)
    }
  }
}
