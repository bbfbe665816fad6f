// The messages that make, fill and delete our table, in transactions of nf_tables: all of one is
// done, or nothing.

import CMnl
import Glibc
package import Wire

extension NetlinkRequest {
  /// Starts a transaction.
  mutating func beginTransaction() {
    begin(UInt16(NFNL_MSG_BATCH_BEGIN), 0, Self.batch)
  }

  /// Ends the transaction: the kernel does it now.
  mutating func endTransaction() {
    begin(UInt16(NFNL_MSG_BATCH_END), 0, Self.batch)
  }

  private static var batch: nfgenmsg {
    nfgenmsg(
      nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0),
      res_id: UInt16(NFNL_SUBSYS_NFTABLES).bigEndian)
  }

  /// Starts a message about tables of the family `inet`.
  mutating func begin(_ type: nf_tables_msg_types, _ flags: Int32) {
    let header = nfgenmsg(
      nfgen_family: UInt8(NFPROTO_INET), version: UInt8(NFNETLINK_V0), res_id: 0)
    begin(UInt16(NFNL_SUBSYS_NFTABLES) << 8 | UInt16(type.rawValue), flags, header)
  }

  /// Makes a table; with `NFT_TABLE_F_OWNER` it is the socket's that sends this.
  mutating func makeTable(_ name: String, flags: UInt32) {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL)
    put(NFTA_TABLE_NAME, text: name)
    put(NFTA_TABLE_FLAGS, number: flags)
  }

  /// Deletes a table with all that is in it.
  mutating func deleteTable(_ name: String) {
    begin(NFT_MSG_DELTABLE, 0)
    put(NFTA_TABLE_NAME, text: name)
  }

  /// Makes the sets, chains and rules of a role in its empty table.
  package mutating func fill(table: String, for role: Ruleset.Role) {
    for set in role.sets { make(set, in: table) }
    // Each message is far below the 64 KiB that `nla_len` can say.
    for start in stride(from: 0, to: role.ports.ranges.count, by: 512)
    where role.sets.contains(.ports) {
      change(NFT_MSG_NEWSETELEM, .ports, in: table) {
        for range in role.ports.ranges[start...].prefix(512) { $0.element(range) }
      }
    }
    for chain in role.chains {
      make(chain, in: table)
      for rule in chain.rules { append(rule, to: chain.name, in: table) }
    }
  }

  /// Adds (`NFT_MSG_NEWSETELEM`) or removes (`NFT_MSG_DELSETELEM`) ports of the client's own.
  mutating func change(
    _ type: nf_tables_msg_types, own ports: some Sequence<UInt16>, in table: String
  ) {
    change(type, .own, in: table) {
      for port in ports { $0.element(port, flags: 0) }
    }
  }

  /// Adds connections of the kernel's.
  package mutating func add(spliced tuples: some Sequence<FourTuple>, in table: String) {
    change(NFT_MSG_NEWSETELEM, spliced: tuples, in: table)
  }

  /// Removes connections of the kernel's.
  package mutating func remove(spliced tuples: some Sequence<FourTuple>, in table: String) {
    change(NFT_MSG_DELSETELEM, spliced: tuples, in: table)
  }

  private mutating func change(
    _ type: nf_tables_msg_types, spliced tuples: some Sequence<FourTuple>, in table: String
  ) {
    for family in AddressFamily.allCases {
      let tuples = tuples.filter { $0.family == family }
      guard !tuples.isEmpty else { continue }
      change(type, .spliced(family), in: table) {
        for tuple in tuples { $0.element(tuple) }
      }
    }
  }

  private mutating func make(_ set: SetName, in table: String) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE)
    put(NFTA_SET_TABLE, text: table)
    put(NFTA_SET_NAME, text: set.rawValue)
    put(NFTA_SET_FLAGS, number: set.flags)
    put(NFTA_SET_KEY_TYPE, number: set.type.number)
    put(NFTA_SET_KEY_LEN, number: set.type.length)
    put(NFTA_SET_ID, number: set.id)
  }

  private mutating func change(
    _ type: nf_tables_msg_types, _ set: SetName, in table: String,
    _ elements: (inout NetlinkRequest) -> Void
  ) {
    begin(type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0)
    put(NFTA_SET_ELEM_LIST_TABLE, text: table)
    put(NFTA_SET_ELEM_LIST_SET, text: set.rawValue)
    nest(NFTA_SET_ELEM_LIST_ELEMENTS, elements)
  }

  /// A range is its first port, and an end behind the last one where there is such a port.
  private mutating func element(_ range: ClosedRange<UInt16>) {
    element(range.lowerBound, flags: 0)
    if range.upperBound < .max {
      element(range.upperBound + 1, flags: NFT_SET_ELEM_INTERVAL_END.rawValue)
    }
  }

  private mutating func element(_ port: UInt16, flags: UInt32) {
    nest(NFTA_LIST_ELEM) {
      if flags != 0 { $0.put(NFTA_SET_ELEM_FLAGS, number: flags) }
      $0.nest(NFTA_SET_ELEM_KEY) { $0.put(Int(NFTA_DATA_VALUE.rawValue), port.bigEndian) }
    }
  }

  private mutating func element(_ tuple: FourTuple) {
    let key = [tuple.remote, tuple.local].flatMap {
      $0.address.words.map(\.bigEndian) + [(UInt32($0.port) << 16).bigEndian]
    }
    nest(NFTA_LIST_ELEM) {
      $0.nest(NFTA_SET_ELEM_KEY) { $0.put(Int(NFTA_DATA_VALUE.rawValue), key.span.octets) }
    }
  }

  private mutating func make(_ chain: RuleChain, in table: String) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE)
    put(NFTA_CHAIN_TABLE, text: table)
    put(NFTA_CHAIN_NAME, text: chain.name)
    put(NFTA_CHAIN_TYPE, text: chain.kind.name)
    put(NFTA_CHAIN_POLICY, number: UInt32(NF_ACCEPT))
    nest(NFTA_CHAIN_HOOK) {
      $0.put(NFTA_HOOK_HOOKNUM, number: chain.hook.number)
      $0.put(NFTA_HOOK_PRIORITY, number: UInt32(bitPattern: chain.kind.priority))
    }
  }

  private mutating func append(_ rule: [RuleTerm], to chain: String, in table: String) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND)
    put(NFTA_RULE_TABLE, text: table)
    put(NFTA_RULE_CHAIN, text: chain)
    nest(NFTA_RULE_EXPRESSIONS) {
      for term in rule { term.emit(into: &$0) }
    }
  }
}
