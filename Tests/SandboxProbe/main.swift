// Confines itself as rsock does and makes the one call that its command line names:
//
//   SandboxProbe CALL DIRECTORY
//
// DIRECTORY has `readable`, `writable`, `removable` and `outside`, each with a file `file`; what
// may be done in the first three is in their names. The exit code is 0 where the call succeeds,
// else its errno; a call that is forbidden kills the probe. A CALL that starts with "decoy" is one of a
// server with a decoy on port 4434.
//
//   SandboxProbe without NUMBER PROGRAM ARGUMENT…
//
// runs a program that finds the system call NUMBER missing, as an old kernel has it.

import Glibc
import Kernel
import Wire

let arguments = CommandLine.arguments
guard arguments.count >= 3 else { fatalError("usage: SandboxProbe CALL DIRECTORY") }
if arguments[1] == "without" {
  try withhold(Int32(arguments[2])!)
  execute(Array(arguments[3...]))
}
// What rsock has open by the time it confines itself.
let netlink = try NetlinkSocket()
try Sandbox.forbidCoreDumps()
try Capabilities.forbidNewPrivileges()
let directory = arguments[2]
let sandbox = Sandbox(
  readable: ["\(directory)/readable"], writable: ["\(directory)/writable"],
  removable: ["\(directory)/removable"], usesSyslog: arguments[1].hasPrefix("syslog"),
  decoyPorts: arguments[1].hasPrefix("decoy") ? PortSet([4434...4434]) : nil)
_ = try sandbox.enter()
let result = make(arguments[1], in: directory, netlink)
_exit(result == -1 ? errno : 0)
