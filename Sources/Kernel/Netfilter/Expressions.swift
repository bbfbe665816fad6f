// The expressions that rules are made of, as nf_tables messages: byte for byte what nft(8) sends
// for the same rule. They run left to right over register 1 until one does not match.

import CMnl
import Glibc
import Wire

/// A field of a packet.
enum PacketField {
  case sourceAddress(AddressFamily)
  case destinationAddress(AddressFamily)
  case sourcePort
  case destinationPort
  case tcpFlags
  case icmpType
  /// The first bytes of what an ICMP echo message carries.
  case badge

  fileprivate var base: nft_payload_bases {
    switch self {
    case .sourceAddress, .destinationAddress: NFT_PAYLOAD_NETWORK_HEADER
    case .sourcePort, .destinationPort, .tcpFlags, .icmpType, .badge:
      NFT_PAYLOAD_TRANSPORT_HEADER
    }
  }

  fileprivate var place: (offset: UInt32, length: UInt32) {
    switch self {
    case .sourceAddress(.ipv4): (12, 4)
    case .sourceAddress(.ipv6): (8, 16)
    case .destinationAddress(.ipv4): (16, 4)
    case .destinationAddress(.ipv6): (24, 16)
    case .sourcePort: (0, 2)
    case .destinationPort: (2, 2)
    case .tcpFlags: (13, 1)
    case .icmpType: (0, 1)
    case .badge: (UInt32(EchoHeader.badgeOffset), 4)
    }
  }
}

extension NetlinkRequest {
  /// Register 1 = what the kernel knows about the packet.
  mutating func meta(_ key: nft_meta_keys) {
    expression("meta") {
      $0.put(NFTA_META_KEY, number: key.rawValue)
      $0.put(NFTA_META_DREG, number: NFT_REG_1.rawValue)
    }
  }

  /// Register 1, or another one, = a field.
  mutating func payload(_ field: PacketField, into register: UInt32 = NFT_REG_1.rawValue) {
    expression("payload") {
      $0.put(NFTA_PAYLOAD_DREG, number: register)
      $0.put(NFTA_PAYLOAD_BASE, number: field.base.rawValue)
      $0.put(NFTA_PAYLOAD_OFFSET, number: field.place.offset)
      $0.put(NFTA_PAYLOAD_LEN, number: field.place.length)
    }
  }

  /// Register 1 = fields in a row, each in as many times 4 bytes as it takes.
  mutating func payload(_ fields: [PacketField]) {
    var words: UInt32 = 0
    for field in fields {
      // Registers of 16 bytes are four of 4 bytes each: nft(8) names the larger one where it can.
      let isWhole = words % 4 == 0
      payload(
        field, into: isWhole ? NFT_REG_1.rawValue + words / 4 : NFT_REG32_00.rawValue + words)
      words += (field.place.length + 3) / 4
    }
  }

  /// Register 1 = the kind of the destination address (`RTN_*`) by this host's own routes.
  mutating func destinationKind() {
    expression("fib") {
      $0.put(NFTA_FIB_FLAGS, number: NFTA_FIB_F_DADDR.rawValue)
      $0.put(NFTA_FIB_RESULT, number: NFT_FIB_RESULT_ADDRTYPE.rawValue)
      $0.put(NFTA_FIB_DREG, number: NFT_REG_1.rawValue)
    }
  }

  /// Register 1 from this host's byte order to that of the network, 4 bytes.
  mutating func toNetworkOrder() {
    expression("byteorder") {
      $0.put(NFTA_BYTEORDER_SREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_BYTEORDER_DREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_BYTEORDER_OP, number: NFT_BYTEORDER_HTON.rawValue)
      $0.put(NFTA_BYTEORDER_LEN, number: 4)
      $0.put(NFTA_BYTEORDER_SIZE, number: 4)
    }
  }

  /// Register 1 &= `bits`, one byte.
  mutating func mask(_ bits: UInt8) {
    expression("bitwise") {
      $0.put(NFTA_BITWISE_SREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_BITWISE_DREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_BITWISE_LEN, number: 1)
      $0.nest(NFTA_BITWISE_MASK) { $0.put(Int(NFTA_DATA_VALUE.rawValue), bits) }
      $0.nest(NFTA_BITWISE_XOR) { $0.put(Int(NFTA_DATA_VALUE.rawValue), UInt8(0)) }
    }
  }

  /// Goes on where register 1, one byte, compares so with `value`.
  mutating func compare(_ comparison: nft_cmp_ops, _ value: UInt8) {
    compare(comparison) { $0.put(Int(NFTA_DATA_VALUE.rawValue), value) }
  }

  /// Goes on where register 1, four bytes as they are in memory, compares so with `value`.
  mutating func compare(_ comparison: nft_cmp_ops, _ value: UInt32) {
    compare(comparison) { $0.put(Int(NFTA_DATA_VALUE.rawValue), value) }
  }

  /// Goes on where register 1 is this address.
  mutating func compare(_ address: IPAddress) {
    compare(NFT_CMP_EQ) { $0.put(Int(NFTA_DATA_VALUE.rawValue), address) }
  }

  private mutating func compare(
    _ comparison: nft_cmp_ops, _ value: (inout NetlinkRequest) -> Void
  ) {
    expression("cmp") {
      $0.put(NFTA_CMP_SREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_CMP_OP, number: comparison.rawValue)
      $0.nest(NFTA_CMP_DATA, value)
    }
  }

  /// Goes on where register 1 is in a set.
  mutating func lookup(_ set: SetName) {
    expression("lookup") {
      $0.put(NFTA_LOOKUP_SREG, number: NFT_REG_1.rawValue)
      $0.put(NFTA_LOOKUP_SET, text: set.rawValue)
      $0.put(NFTA_LOOKUP_SET_ID, number: set.id)
    }
  }

  /// Register 1, one byte, = what is known of the socket that the packet is for, or came from; ends the rule
  /// where there is none.
  mutating func socket(_ key: nft_socket_keys) {
    expression("socket") {
      $0.put(NFTA_SOCKET_KEY, number: key.rawValue)
      $0.put(NFTA_SOCKET_DREG, number: NFT_REG_1.rawValue)
      // Of a control group's path.
      $0.put(NFTA_SOCKET_LEVEL, number: 0)
    }
  }

  /// Sends the flow to this port of the address that it is for, and answers back from where it was sent to.
  mutating func translate(toPort port: UInt16) {
    expression("immediate") {
      $0.put(NFTA_IMMEDIATE_DREG, number: NFT_REG_1.rawValue)
      $0.nest(NFTA_IMMEDIATE_DATA) { $0.put(Int(NFTA_DATA_VALUE.rawValue), port.bigEndian) }
    }
    expression("nat") {
      $0.put(NFTA_NAT_TYPE, number: NFT_NAT_DNAT.rawValue)
      $0.put(NFTA_NAT_FAMILY, number: UInt32(NFPROTO_INET))
      $0.put(NFTA_NAT_REG_PROTO_MIN, number: NFT_REG_1.rawValue)
      $0.put(NFTA_NAT_FLAGS, number: UInt32(NF_NAT_RANGE_PROTO_SPECIFIED))
    }
  }

  /// Keeps connection tracking away from the packet.
  mutating func notrack() {
    nest(NFTA_LIST_ELEM) { $0.put(NFTA_EXPR_NAME, text: "notrack") }
  }

  /// Ends the rule, and the chain, with `NF_ACCEPT` or `NF_DROP`.
  mutating func verdict(_ code: Int32) {
    expression("immediate") {
      $0.put(NFTA_IMMEDIATE_DREG, number: NFT_REG_VERDICT.rawValue)
      $0.nest(NFTA_IMMEDIATE_DATA) {
        $0.nest(NFTA_DATA_VERDICT) { $0.put(NFTA_VERDICT_CODE, number: UInt32(code)) }
      }
    }
  }

  private mutating func expression(_ name: String, _ body: (inout NetlinkRequest) -> Void) {
    nest(NFTA_LIST_ELEM) {
      $0.put(NFTA_EXPR_NAME, text: name)
      $0.nest(NFTA_EXPR_DATA, body)
    }
  }
}

extension NetlinkRequest {
  /// Adds a number in network byte order, as nf_tables has them all.
  mutating func put(_ type: some RawRepresentable<UInt32>, number: UInt32) {
    put(Int(type.rawValue), number.bigEndian)
  }

  /// Adds a string with a zero byte behind it.
  mutating func put(_ type: some RawRepresentable<UInt32>, text: String) {
    put(Int(type.rawValue), text)
  }

  /// Adds an attribute that holds those that `body` adds.
  mutating func nest(
    _ type: some RawRepresentable<UInt32>, _ body: (inout NetlinkRequest) -> Void
  ) {
    nest(Int(type.rawValue), body)
  }
}
