// What a process may do beyond an ordinary user (capabilities(7)), through libcap.

import CCap
import CLinux
import Glibc

/// Some of the three capabilities that rsock can use.
public struct CapabilitySet: OptionSet, Hashable, Sendable {
  /// One bit for each.
  public let rawValue: UInt8

  /// A set from its bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// CAP_NET_RAW: packet and raw sockets. Nothing of the tcp carrier works without it.
  public static let netRaw = CapabilitySet(rawValue: 1)
  /// CAP_NET_ADMIN: the ruleset, and socket buffers beyond the sysctl's bound.
  public static let netAdmin = CapabilitySet(rawValue: 2)
  /// CAP_NET_BIND_SERVICE: ports below `ip_unprivileged_port_start`.
  public static let netBindService = CapabilitySet(rawValue: 4)
  /// All three.
  public static let all: CapabilitySet = [.netRaw, .netAdmin, .netBindService]

  static let table: [(set: CapabilitySet, value: cap_value_t, name: String)] = [
    (.netRaw, CAP_NET_RAW, "CAP_NET_RAW"), (.netAdmin, CAP_NET_ADMIN, "CAP_NET_ADMIN"),
    (.netBindService, CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"),
  ]
}

extension CapabilitySet: CustomStringConvertible {
  /// The names with commas: "CAP_NET_RAW, CAP_NET_ADMIN".
  public var description: String {
    Self.table.filter { contains($0.set) }.map(\.name).joined(separator: ", ")
  }
}

/// The calling thread's capabilities; threads started later inherit them. To be used before there
/// are threads.
public enum Capabilities {
  /// Raises into effect what is permitted of the three, and gives it.
  public static func raisePermitted() throws(SystemError) -> CapabilitySet {
    let state = try ProcessCapabilities()
    let permitted = state.flags(CAP_PERMITTED)
    try state.set(permitted, in: CAP_EFFECTIVE)
    try state.apply()
    return permitted
  }

  /// Gives up every capability but those of `set` that are permitted, for this thread and for
  /// programs that it starts. The bounding set needs CAP_SETPCAP and stays where that is missing;
  /// an ordinary user cannot gain from it after `forbidNewPrivileges`.
  public static func keep(only set: CapabilitySet) throws(SystemError) {
    dropBounding(keeping: set)
    let state = try ProcessCapabilities()
    let kept = state.flags(CAP_PERMITTED).intersection(set)
    state.clear()
    try state.set(kept, in: CAP_PERMITTED)
    try state.set(kept, in: CAP_EFFECTIVE)
    try check("clear the ambient capabilities") { cap_reset_ambient() }
    try state.apply()
  }

  /// Makes sure that no program started from here gains privileges (PR_SET_NO_NEW_PRIVS). A
  /// re-exec of rsock would lose its file capabilities too.
  public static func forbidNewPrivileges() throws(SystemError) {
    try check("set no_new_privs") { rs_prctl(PR_SET_NO_NEW_PRIVS, 1) }
  }

  private static func dropBounding(keeping set: CapabilitySet) {
    let kept = CapabilitySet.table.filter { set.contains($0.set) }.map(\.value)
    var value: cap_value_t = 0
    while cap_get_bound(value) >= 0 {  // -1 behind the kernel's last one
      if !kept.contains(value) { _ = cap_drop_bound(value) }
      value += 1
    }
  }
}

/// A working copy of the thread's capability sets (cap_get_proc(3)).
@safe private struct ProcessCapabilities: ~Copyable {
  private let state: cap_t

  init() throws(SystemError) {
    guard let state = unsafe cap_get_proc() else {
      throw SystemError(call: "read the capabilities", code: errno)
    }
    unsafe self.state = state
  }

  deinit { unsafe _ = cap_free(UnsafeMutableRawPointer(state)) }

  func flags(_ flag: cap_flag_t) -> CapabilitySet {
    var result: CapabilitySet = []
    for entry in CapabilitySet.table {
      var value = CAP_CLEAR
      if unsafe cap_get_flag(state, entry.value, flag, &value) == 0, value == CAP_SET {
        result.insert(entry.set)
      }
    }
    return result
  }

  func set(_ set: CapabilitySet, in flag: cap_flag_t) throws(SystemError) {
    for entry in CapabilitySet.table where set.contains(entry.set) {
      var value = entry.value
      try check("set a capability") { unsafe cap_set_flag(state, flag, 1, &value, CAP_SET) }
    }
  }

  func clear() { unsafe _ = cap_clear(state) }

  func apply() throws(SystemError) {
    try check("set the capabilities") { unsafe cap_set_proc(state) }
  }
}
