// What a failed system call throws: the call, errno, and what to do about it.

import Glibc

/// A system call that failed.
public struct SystemError: Error, Hashable, Sendable {
  /// What was tried, as the user should read it: "open AF_PACKET socket".
  public let call: String
  /// The call's `errno`.
  public let code: Int32
  /// One sentence that says what the user can do, where there is something.
  public let remedy: String?

  /// An error from its parts. `code` is named always: to build `call` may change `errno`.
  public init(call: String, code: Int32, remedy: String? = nil) {
    self.call = call
    self.code = code
    self.remedy = remedy
  }
}

extension SystemError: CustomStringConvertible {
  /// "CALL: what errno means. The remedy."
  public var description: String {
    let reason = unsafe strerrordesc_np(code).map { unsafe String(cString: $0) }
    return "\(call): \(reason ?? "error \(code)")" + (remedy.map { ". \($0)" } ?? "")
  }
}

/// Calls again as long as a signal interrupts (EINTR); gives the result of the first call that was
/// not interrupted, with `errno` as that call left it.
@inline(__always)
func retryingInterrupts<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

/// The result of a system call, or its error where that is -1.
@discardableResult
@inline(__always)
func check<Result: SignedInteger>(
  _ name: @autoclosure () -> String, remedy: @autoclosure () -> String? = nil,
  _ call: () -> Result
) throws(SystemError) -> Result {
  let result = retryingInterrupts(call)
  if result == -1 {
    let code = errno
    throw SystemError(call: name(), code: code, remedy: remedy())
  }
  return result
}
