// Why the program does not run: one sentence for the user and an exit code for scripts.

import Glibc
import Kernel

/// Why the program does not run.
public struct StartError: Error, Hashable, Sendable {
  /// What a script can tell apart.
  public enum Kind: Hashable, Sendable {
    /// The command line or the configuration file is wrong.
    case usage
    /// The user may not do this.
    case permission
    /// Anything else.
    case failure
  }

  /// What a script can tell apart.
  public let kind: Kind
  /// One sentence that names what is wrong and what would be right.
  public let sentence: String

  /// An error from its parts.
  public init(_ kind: Kind, _ sentence: String) {
    self.kind = kind
    self.sentence = sentence
  }

  /// A system call that failed with `code`, an `errno`: what was tried, and what the user can do.
  public init(call: String, code: Int32, remedy: String? = nil) {
    self.init(SystemError(call: call, code: code, remedy: remedy))
  }

  /// A failed system call: a matter of permission where the kernel says so.
  init(_ error: SystemError) {
    let denied = error.code == EACCES || error.code == EPERM
    self.init(denied ? .permission : .failure, error.description)
  }

  /// The exit code: EX_USAGE and EX_NOPERM of sysexits.h, else 1.
  public var exitCode: Int32 {
    switch kind {
    case .usage: 64
    case .permission: 77
    case .failure: 1
    }
  }
}
