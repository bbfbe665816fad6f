// The directory of the pid file and the control socket.

import Glibc
import Kernel

/// The open directory that holds what exists only while rsock runs.
public struct RuntimeDirectory: ~Copyable {
  /// The directory's path, for messages.
  public let path: String
  let descriptor: Descriptor

  /// `$RUNTIME_DIRECTORY`, else `$XDG_RUNTIME_DIR/rsock`, else `/run/rsock` where it can be
  /// written, else `/tmp/rsock-UID`.
  public init() throws(StartError) {
    // Paths from the environment are safe here, in secure-execution mode too (secure_getenv would
    // hide them then): all that our capabilities add concerns the network, so the kernel allows
    // us in no directory that the user could not write without us. TMPDIR is not asked, because
    // glibc removes it in that mode: a start with and one without would miss each other.
    try self.init(
      environment: { name in unsafe getenv(name).map { unsafe String(cString: $0) } },
      system: "/run/rsock", temporary: "/tmp")
  }

  /// The same with other places, for tests.
  package init(
    environment: (String) -> String?, system: String, temporary: String
  ) throws(StartError) {
    if let path = environment("RUNTIME_DIRECTORY").flatMap(Self.firstAbsolute) {
      try self.init(existing: path)
    } else if let parent = environment("XDG_RUNTIME_DIR"), Self.isOurs(parent) {
      try self.init(private: parent + "/rsock")
    } else if Self.isWritable(system) {
      try self.init(existing: system)
    } else {
      try self.init(private: "\(temporary)/rsock-\(geteuid())")
    }
  }

  /// The directories in which an rsock that this user started may have its files, none of which is made;
  /// with `RUNTIME_DIRECTORY` it is that one alone.
  static func candidates() -> [String] {
    let variable: (String) -> String? = { name in
      unsafe getenv(name).map { unsafe String(cString: $0) }
    }
    if let path = variable("RUNTIME_DIRECTORY").flatMap(firstAbsolute) { return [path] }
    let parent = variable("XDG_RUNTIME_DIR").flatMap { $0.hasPrefix("/") ? $0 : nil }
    return [parent.map { $0 + "/rsock" }, "/run/rsock", "/tmp/rsock-\(geteuid())"]
      .compactMap { $0 }
  }

  /// Opens a directory that its owner has made for us: by systemd, or the administrator in /run.
  private init(existing path: String) throws(StartError) {
    descriptor = try Self.open(path, O_DIRECTORY)
    self.path = path
  }

  /// Opens, or makes, a directory that nobody else may use.
  private init(private path: String) throws(StartError) {
    // EEXIST is judged with everything else below, on what was opened: others can write in /tmp.
    _ = unsafe mkdir(path, 0o700)
    let descriptor = try Self.open(path, O_DIRECTORY | O_NOFOLLOW)
    var status = stat()
    guard unsafe fstat(descriptor.rawValue, &status) == 0 else {
      throw StartError(call: "look at \(path.printable)", code: errno)
    }
    guard status.st_uid == geteuid() else {
      throw StartError(
        .permission,
        "\(path.printable) belongs to another user (uid \(status.st_uid)): have it removed, or set "
          + "RUNTIME_DIRECTORY to a directory of your own.")
    }
    guard status.st_mode & 0o022 == 0 else {
      throw StartError(
        .permission, "Others may write in \(path.printable): remove it, rsock makes it anew.")
    }
    self.descriptor = descriptor
    self.path = path
  }

  private static func open(_ path: String, _ flags: Int32) throws(StartError) -> Descriptor {
    let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | flags)
    guard descriptor != -1 else {
      let code = errno
      if code == ELOOP || code == ENOTDIR {
        throw StartError(
          .permission,
          "\(path.printable) is not a directory: remove it, or set RUNTIME_DIRECTORY to one.")
      }
      throw StartError(call: "open the directory \(path.printable)", code: code)
    }
    return Descriptor(owning: descriptor)
  }

  /// systemd lists several, separated by colons, where a unit asks for several.
  private static func firstAbsolute(_ list: String) -> String? {
    list.split(separator: ":").first { $0.hasPrefix("/") }.map(String.init)
  }

  /// XDG_RUNTIME_DIR must belong to the user; after `su` it may still be another's.
  private static func isOurs(_ path: String) -> Bool {
    var status = stat()
    return unsafe path.hasPrefix("/") && stat(path, &status) == 0 && status.st_uid == geteuid()
  }

  private static func isWritable(_ path: String) -> Bool {
    _ = unsafe mkdir(path, 0o755)
    return unsafe faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0
  }
}
