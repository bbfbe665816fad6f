// What the process may do with the file system, with TCP ports, and to other processes
// (landlock(7)): of all that the kernel can forbid, up to version 7 of its interface, what a rule
// allows.

import CLinux
import Glibc

/// Landlock's restrictions for this thread; threads started later inherit them.
struct Landlock: ~Copyable {
  /// What may be done with files, by one's path or beneath a directory's.
  enum Access {
    /// Files are read, directories listed.
    case read
    /// Files are written and made.
    case write
    /// Files are removed.
    case remove
  }

  private let version: Int32
  private let ruleset: Descriptor

  /// The version of the kernel's interface: each has more to forbid than the one before. Throws
  /// where there is no Landlock: ENOSYS before Linux 5.13, EOPNOTSUPP where it is switched off.
  static func probe() throws(SystemError) -> Int32 {
    try check("guard files with Landlock") {
      rs_landlock_create_ruleset(nil, 0, UInt32(LANDLOCK_CREATE_RULESET_VERSION))
    }
  }

  /// Rules for a kernel with this version that allow nothing yet; `guardsConnections` is whether they
  /// are about the ports that TCP connects to.
  init(version: Int32, guardsConnections: Bool) throws(SystemError) {
    let ports = guardsConnections ? Self.bindTCP | Self.connectTCP : Self.bindTCP
    var rules = rs_landlock_ruleset(
      handled_access_fs: Self.filesystemRights(version),
      handled_access_net: version >= 4 ? ports : 0,
      scoped: version >= 6 ? Self.abstractSockets | Self.signals : 0)
    ruleset = Descriptor(
      owning: try check("make Landlock rules") {
        unsafe rs_landlock_create_ruleset(&rules, MemoryLayout<rs_landlock_ruleset>.size, 0)
      })
    self.version = version
  }

  /// Allows something for a file, or for all files beneath a directory. Where `path` is not to be
  /// found there is nothing to allow.
  func allow(_ access: Access, at path: String) throws(SystemError) {
    let number = unsafe open(path, O_PATH | O_CLOEXEC)
    guard number != -1 else { return }
    let place = Descriptor(owning: number)
    var status = stat()
    try check("look at \(path)") { unsafe fstat(number, &status) }
    let isDirectory = status.st_mode & S_IFMT == S_IFDIR
    var rule = landlock_path_beneath_attr(
      allowed_access: Self.rights(access, ofDirectory: isDirectory),
      parent_fd: place.rawValue)
    guard rule.allowed_access != 0 else { return }
    let ruleset = ruleset.rawValue
    try check("allow \(path) in Landlock's rules") {
      unsafe rs_landlock_add_rule(ruleset, LANDLOCK_RULE_PATH_BENEATH.rawValue, &rule)
    }
  }

  /// Allows to bind TCP sockets to a port; 0 stands for those that the kernel chooses.
  func allow(bindingTo port: UInt16) throws(SystemError) {
    guard version >= 4 else { return }
    var rule = rs_landlock_port(allowed_access: Self.bindTCP, port: UInt64(port))
    let ruleset = ruleset.rawValue
    try check("allow ports in Landlock's rules") {
      unsafe rs_landlock_add_rule(ruleset, UInt32(RS_LANDLOCK_RULE_NET_PORT), &rule)
    }
  }

  /// Puts the rules in force, for good. Needs no_new_privs. Files that are open stay so.
  consuming func enforce() throws(SystemError) {
    let ruleset = ruleset.rawValue
    try check("put Landlock's rules in force") { rs_landlock_restrict_self(ruleset) }
  }
}

// Debian 12's header ends with Linux 6.1.
extension Landlock {
  private static let truncate: UInt64 = 1 << 14
  private static let deviceControl: UInt64 = 1 << 15
  private static let bindTCP: UInt64 = 1 << 0
  private static let connectTCP: UInt64 = 1 << 1
  private static let abstractSockets: UInt64 = 1 << 0
  private static let signals: UInt64 = 1 << 1

  /// Every right that a version can forbid: the bits up to its last.
  private static func filesystemRights(_ version: Int32) -> UInt64 {
    let last: UInt64 =
      switch version {
      case ...1: UInt64(LANDLOCK_ACCESS_FS_MAKE_SYM)
      case 2: UInt64(LANDLOCK_ACCESS_FS_REFER)
      case 3, 4: truncate
      default: deviceControl
      }
    return last | (last - 1)
  }

  /// The rights of a kind of access. A file has no rights that concern what lies beneath.
  private static func rights(_ access: Access, ofDirectory isDirectory: Bool) -> UInt64 {
    let (own, beneath) =
      switch access {
      case .read: (LANDLOCK_ACCESS_FS_READ_FILE, LANDLOCK_ACCESS_FS_READ_DIR)
      case .write: (LANDLOCK_ACCESS_FS_WRITE_FILE, LANDLOCK_ACCESS_FS_MAKE_REG)
      case .remove: (0, LANDLOCK_ACCESS_FS_REMOVE_FILE)
      }
    return UInt64(own) | (isDirectory ? UInt64(beneath) : 0)
  }
}
