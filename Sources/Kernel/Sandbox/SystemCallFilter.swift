// The program that judges the system calls of a running rsock: what is not in its table ends the
// process. The kernel runs it for each call; since Linux 5.11 no more for those that it would allow
// whatever their arguments (`seccomp_cache_check_allow`).

package import CLinux
import Glibc

/// A classic BPF program for seccomp(2).
package struct SystemCallFilter: Sendable {
  /// The program.
  package let instructions: [sock_filter]

  /// The filter that allows `calls` and ends the process on all others, and on those of another
  /// architecture. (The calls of x32 are told by a bit in their number: they are others.)
  package init(_ calls: [AllowedCall]) throws(FilterError) {
    var program = FilterAssembler()
    let allow = program.label()
    let kill = program.label()
    program.load(.architecture)
    program.jump(if: .equal, rs_audit_architecture, otherwise: kill)
    program.load(.number)
    let looks = calls.filter { !$0.ways.isEmpty }.map { (call: $0, label: program.label()) }
    for call in calls where call.ways.isEmpty {
      program.jump(if: .equal, UInt32(call.number), then: allow)
    }
    for look in looks {
      program.jump(if: .equal, UInt32(look.call.number), then: look.label)
    }
    program.jump(to: kill)
    for look in looks {
      program.place(look.label)
      for way in look.call.ways { program.test(way, then: allow) }
      program.jump(to: kill)
    }
    program.place(allow)
    program.finish(with: SECCOMP_RET_ALLOW)
    program.place(kill)
    program.finish(with: SECCOMP_RET_KILL_PROCESS)
    instructions = try program.instructions()
  }
}

/// Where something is in `seccomp_data`.
private enum SystemCallField {
  case number
  case architecture
  case argument(Int)

  var offset: Int {
    switch self {
    case .number: MemoryLayout<seccomp_data>.offset(of: \.nr)!
    case .architecture: MemoryLayout<seccomp_data>.offset(of: \.arch)!
    // Little-endian, as both architectures are: the low half comes first.
    case .argument(let index): MemoryLayout<seccomp_data>.offset(of: \.args)! + 8 * index
    }
  }
}

extension FilterAssembler {
  fileprivate mutating func load(_ field: SystemCallField) {
    load(wordAt: UInt32(field.offset))
  }

  /// Goes on at `label` where all of `tests` hold, else at the next instruction.
  fileprivate mutating func test(_ tests: [ArgumentTest], then label: Label) {
    let next = self.label()
    for test in tests {
      load(.argument(test.index))
      if test.mask != .max { and(test.mask) }
      jump(if: .equal, test.value, otherwise: next)
    }
    jump(to: label)
    place(next)
  }
}
