// Our nftables table: it keeps the kernel away from our segments, and lives as long as the `Ruleset`
// does.
//
// The kernel removes a table with an owner (Linux 5.12) when the owner's socket closes, SIGKILL
// included, and lets nobody else change it. Where the kernel is older, the table is a plain one:
// removed on exit, made again when somebody flushed it, and what a dead rsock left is removed at
// the next start.

import CMnl
import Glibc
public import Wire

/// Our table `inet rsock-PID` in the kernel.
public struct Ruleset: ~Copyable {
  /// The table's name.
  public let table: String
  private var role: Role
  private let socket: NetlinkSocket
  /// Whether the kernel guards the table.
  private let hasOwner: Bool
  /// Hears what happens to nftables where the kernel does not guard the table.
  private let events: NetlinkSocket
  private var ownPorts: Set<UInt16> = []
  private var spliced: Set<FourTuple> = []

  /// Makes the table. Throws EPERM without CAP_NET_ADMIN, and where the kernel lacks a module what
  /// it says then, each with the remedy.
  public init(role: Role) throws(SystemError) {
    try self.init(role: role, prefersOwner: true)
  }

  /// As `init(role:)`; without `prefersOwner` as on a kernel that knows no owners.
  package init(role: Role, prefersOwner: Bool) throws(SystemError) {
    do { try self.init(making: role, prefersOwner) } catch {
      throw SystemError(
        call: error.call, code: error.code, remedy: Self.remedy(error.code, role) ?? error.remedy)
    }
  }

  private init(making role: Role, _ prefersOwner: Bool) throws(SystemError) {
    let socket = try NetlinkSocket(bus: NETLINK_NETFILTER)
    let others = try Self.tables(socket)
    let name = Self.freeName(among: others)
    let hasOwner = prefersOwner ? try Self.makeWithOwner(name, for: role, socket) : false
    // Heard from before a plain table is there, so that no end of it is missed.
    let groups = hasOwner ? [] : [Int32(NFNLGRP_NFTABLES.rawValue)]
    let events = try NetlinkSocket(bus: NETLINK_NETFILTER, groups: groups)
    if !hasOwner {
      for name in others where Self.isLeftover(name) { try? Self.delete(name, socket) }
      try Self.make(name, flags: 0, for: role, socket)
    }
    self.hasOwner = hasOwner
    self.events = events
    table = name
    self.socket = socket
    self.role = role
  }

  deinit {
    if !hasOwner { try? Self.delete(table, socket) }
  }

  /// Lets a port of the client's own be ours. A port that is so already stays so.
  public mutating func add(localPort: UInt16) throws(SystemError) {
    try change(NFT_MSG_NEWSETELEM, localPort)
    ownPorts.insert(localPort)
  }

  /// Ends what `add` began; nothing happens where it did not.
  public mutating func remove(localPort: UInt16) throws(SystemError) {
    guard ownPorts.contains(localPort) else { return }
    try change(NFT_MSG_DELSETELEM, localPort)
    ownPorts.remove(localPort)
  }

  private func change(_ type: nf_tables_msg_types, _ port: UInt16) throws(SystemError) {
    guard case .client = role else { preconditionFailure("a server has no ports of its own") }
    try transact("change the ports of") {
      $0.change(type, own: CollectionOfOne(port), in: table)
    }
  }

  /// Leaves a connection with one of a server's ports to the kernel's TCP. One that was added stays so.
  public mutating func add(spliced tuple: FourTuple) throws(SystemError) {
    guard case .server(_, true, _, _) = role else { preconditionFailure("there is no decoy") }
    try transact("add a connection to") {
      $0.add(spliced: CollectionOfOne(tuple), in: table)
    }
    spliced.insert(tuple)
  }

  /// Ends what `add` began; nothing happens where it did not.
  public mutating func remove(spliced tuples: [FourTuple]) throws(SystemError) {
    let known = spliced.intersection(tuples)
    guard !known.isEmpty else { return }
    spliced.subtract(known)
    try transact("remove connections from", capacity: 4096 + Self.elementSize * known.count) {
      $0.remove(spliced: known, in: table)
    }
  }

  private func transact(
    _ verb: String, capacity: Int = 4096, _ body: (inout NetlinkRequest) -> Void
  ) throws(SystemError) {
    var request = NetlinkRequest(sequence: socket.nextSequence(), capacity: capacity)
    request.beginTransaction()
    body(&request)
    request.endTransaction()
    try Self.send(request, socket, "\(verb) nftables table \(table)")
  }

  /// Makes the table anew for another role, with the ports that are ours: all at once.
  public mutating func replaceRole(_ role: Role) throws(SystemError) {
    guard role != self.role else { return }
    let flags = hasOwner ? UInt32(NFT_TABLE_F_OWNER.rawValue) : 0
    try Self.make(
      table, flags: flags, for: role, own: ownPorts, spliced: spliced, isThere: true, socket)
    self.role = role
  }

  /// Readable when somebody changed nftables, so that `repair()` is due; nil where the kernel
  /// guards our table. It stays the ruleset's.
  public var descriptor: Int32? { hasOwner ? nil : events.descriptor }

  /// Makes the table again if it is gone, and says whether it was.
  public func repair() throws(SystemError) -> Bool {
    guard !hasOwner else { return false }
    events.discard()
    if try Self.tables(socket).contains(table) { return false }
    try Self.make(table, flags: 0, for: role, own: ownPorts, spliced: spliced, socket)
    return true
  }
}

extension Ruleset {
  /// What a connection takes in a message, in bytes.
  private static let elementSize = 52

  /// Whether the table could be made with an owner; false where the kernel knows none: EINVAL
  /// before 5.12, EOPNOTSUPP for flags that newer ones do not know.
  private static func makeWithOwner(
    _ name: String, for role: Role, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) -> Bool {
    do {
      try make(name, flags: UInt32(NFT_TABLE_F_OWNER.rawValue), for: role, socket)
      return true
    } catch {
      if error.code == EINVAL || error.code == EOPNOTSUPP { return false }
      throw error
    }
  }

  private static func make(
    _ name: String, flags: UInt32, for role: Role, own: Set<UInt16> = [],
    spliced: Set<FourTuple> = [], isThere: Bool = false, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) {
    // A range takes 40 bytes, a port of our own 16, the rest together less than 12 KiB.
    let capacity =
      12_288 + 48 * role.ports.ranges.count + 16 * own.count + elementSize * spliced.count
    var request = NetlinkRequest(sequence: socket.nextSequence(), capacity: capacity)
    request.beginTransaction()
    if isThere { request.deleteTable(name) }
    request.makeTable(name, flags: flags)
    request.fill(table: name, for: role)
    if !own.isEmpty { request.change(NFT_MSG_NEWSETELEM, own: own, in: name) }
    if !spliced.isEmpty { request.add(spliced: spliced, in: name) }
    request.endTransaction()
    try send(request, socket, "make nftables table \(name)")
  }

  private static func delete(
    _ name: String, _ socket: borrowing NetlinkSocket
  ) throws(SystemError) {
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.beginTransaction()
    request.deleteTable(name)
    request.endTransaction()
    try send(request, socket, "delete nftables table \(name)")
  }

  private static func send(
    _ request: borrowing NetlinkRequest, _ socket: borrowing NetlinkSocket, _ verb: String
  ) throws(SystemError) {
    _ = try socket.query(verb, request) { _ -> Void? in nil }
  }

  /// The names of the host's `inet` tables.
  private static func tables(_ socket: borrowing NetlinkSocket) throws(SystemError) -> [String] {
    var request = NetlinkRequest(sequence: socket.nextSequence())
    request.begin(NFT_MSG_GETTABLE, NLM_F_DUMP)
    return try socket.query("list nftables tables", request) {
      $0.attributes(behind: nfgenmsg.self).text(Int(NFTA_TABLE_NAME.rawValue))
    }
  }

  /// `rsock-PID`, or with a number behind: containers that share a network may share a PID.
  private static func freeName(among others: [String]) -> String {
    let name = "rsock-\(getpid())"
    if !others.contains(name) { return name }
    var number = 2
    while others.contains("\(name)-\(number)") { number += 1 }
    return "\(name)-\(number)"
  }

  /// Whether a table is that of an rsock which is no more.
  private static func isLeftover(_ name: String) -> Bool {
    let parts = name.split(separator: "-")
    guard parts.count >= 2, parts[0] == "rsock", let pid = Int32(parts[1]), pid > 0 else {
      return false
    }
    return kill(pid, 0) == -1 && errno == ESRCH
  }

  /// What can be done about an error.
  package static func remedy(_ code: Int32, _ role: Role) -> String? {
    switch code {
    case EPERM: Capabilities.missingRemedy(for: .netAdmin)
    case EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT, ENOENT:
      role.isHeldByRules
        ? "The kernel lacks a module: load nf_tables, nft_fib_inet, nft_ct, nft_socket, nft_nat and nft_chain_nat (Linux 5.10 or later), or serve fewer ports"
        : "The kernel lacks a module: load nf_tables, nft_fib_inet and nft_ct, or start with --firewall=off"
    default: nil
    }
  }
}
