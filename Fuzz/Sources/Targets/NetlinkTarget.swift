// What the kernel answers and tells by netlink: links, addresses, neighbours, routes, errors.

import CLinux
import CMnl
import Glibc
import Samples
import Wire

@testable import Kernel

extension FuzzTarget {
  static let netlink = FuzzTarget(name: "netlink") { input in
    var rest = input
    var count = 0
    while let message = NetlinkMessage(rest) {
      require(message.rest.byteCount < rest.byteCount, "a message is not empty")
      rest = message.rest
      count += 1
      if let link = Link(message), let address = link.address {
        _ = LinkHop(on: link, to: address)
        require(address.description.utf8.count == 17, "an address is six bytes")
      }
      if let neighbour = Neighbour(message) { _ = neighbour.isUsable }
      _ = Route(message, from: nil)
      _ = LocalAddresses.address(message)
      _ = NetworkEvent(message)
    }
    var answer = NetlinkAnswer<Link>()
    answer.read(input, sequence: 1, port: 2) { Link($0) }
    require(answer.elements.count <= count, "every element has its message")
    if let failure = answer.failure {
      require(!"\(failure.error("ask"))".isEmpty, "a refusal has words")
    }
  } seeds: {
    [
      "link": netlinkLink, "neighbour": netlinkNeighbour, "route": netlinkRoute,
      "address": netlinkAddress, "error": netlinkError(-EPERM),
      // Found: the smallest number has no counterpart.
      "least-error": netlinkError(.min),
      "dump": netlinkLink + netlinkNeighbour + netlinkRoute + netlinkAddress,
    ]
  }
}

/// A message to the port 2 that answers the request 1.
private func message<Header: BitwiseCopyable>(
  _ type: Int, _ header: Header, _ attributes: (inout NetlinkRequest) -> Void
) -> [UInt8] {
  var request = NetlinkRequest(sequence: 1)
  request.begin(UInt16(type), 0, header)
  attributes(&request)
  let span = request.bytes
  var bytes = (0..<span.byteCount).map { span.byte(at: $0) }
  bytes[12] = 2  // nlmsg_pid
  return bytes
}

private var netlinkLink: [UInt8] {
  var header = ifinfomsg()
  header.ifi_index = 2
  header.ifi_type = UInt16(ARPHRD_ETHER)
  header.ifi_flags = UInt32(IFF_UP.rawValue | IFF_RUNNING.rawValue)
  return message(RTM_NEWLINK, header) {
    $0.put(Int(IFLA_IFNAME), "eth0")
    $0.put(Int(IFLA_MTU), UInt32(1500))
    $0.put(Int(IFLA_MASTER), UInt32(3))
    // Six bytes: a string of five and its zero.
    $0.put(Int(IFLA_ADDRESS), "\u{2}\u{1}\u{1}\u{1}\u{1}")
    $0.nest(Int(IFLA_LINKINFO)) { $0.put(Int(IFLA_INFO_SLAVE_KIND), "bridge") }
  }
}

private var netlinkNeighbour: [UInt8] {
  var header = ndmsg()
  header.ndm_family = UInt8(AF_INET)
  header.ndm_ifindex = 2
  header.ndm_state = UInt16(NUD_REACHABLE)
  return message(RTM_NEWNEIGH, header) {
    $0.put(Int(NDA_DST), UInt32(0xC000_0201).bigEndian)
    $0.put(Int(NDA_LLADDR), "\u{2}\u{1}\u{1}\u{1}\u{1}")
  }
}

private var netlinkRoute: [UInt8] {
  var header = rtmsg()
  header.rtm_family = UInt8(AF_INET)
  header.rtm_type = UInt8(RTN_UNICAST)
  return message(RTM_NEWROUTE, header) {
    $0.put(Int(RTA_OIF.rawValue), UInt32(2))
    $0.put(Int(RTA_GATEWAY.rawValue), UInt32(0xC000_0201).bigEndian)
    $0.put(Int(RTA_PREFSRC.rawValue), UInt32(0xC000_0202).bigEndian)
    $0.nest(Int(RTA_METRICS.rawValue)) { $0.put(Int(RTAX_MTU), UInt32(1400)) }
  }
}

private var netlinkAddress: [UInt8] {
  var header = ifaddrmsg()
  header.ifa_family = UInt8(AF_INET)
  header.ifa_index = 2
  return message(RTM_NEWADDR, header) {
    $0.put(Int(IFA_LOCAL), UInt32(0xC000_0202).bigEndian)
  }
}

private func netlinkError(_ code: Int32) -> [UInt8] {
  var header = nlmsgerr()
  header.error = code
  var bytes = message(Int(NLMSG_ERROR), header) {
    $0.put(Int(NLMSGERR_ATTR_MSG.rawValue), "not today")
  }
  // nlmsg_flags: NLM_F_CAPPED | NLM_F_ACK_TLVS
  bytes[7] = 3
  return bytes
}
