// Feeds one target of `FuzzTarget.all` with inputs. ci/fuzz calls it.
//
//   Fuzz --list                         the names of the targets
//   Fuzz --seeds DIRECTORY              writes their seeds, each into a folder of its name
//   Fuzz --target=NAME [libFuzzer's options] [corpora, or inputs to be tried once]

import CFuzzer
import Glibc
import Wire

/// Writes the seeds of all targets; gives the exit code.
func writeSeeds(into directory: String) -> Int32 {
  for target in FuzzTarget.all {
    let folder = "\(directory)/\(target.name)"
    _ = unsafe mkdir(folder, 0o777)
    for (name, bytes) in target.seeds() {
      let file = unsafe open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o666)
      guard file != -1, unsafe write(file, bytes, bytes.count) == bytes.count else {
        print("cannot write \(folder)/\(name): errno \(errno)")
        return EXIT_FAILURE
      }
      close(file)
    }
  }
  return EXIT_SUCCESS
}

let arguments = CommandLine.arguments.dropFirst()
switch arguments.first {
case "--list":
  for target in FuzzTarget.all { print(target.name) }
  exit(EXIT_SUCCESS)
case "--seeds": exit(writeSeeds(into: arguments.dropFirst().first ?? "Fuzz/Corpus"))
default: break
}
guard FuzzTarget.chosen != nil else {
  print("usage: Fuzz --list | --seeds DIRECTORY | --target=NAME [OPTIONS] [FILES]")
  exit(EX_USAGE)
}
var count = CommandLine.argc
var vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
exit(
  unsafe LLVMFuzzerRunDriver(&count, &vector) { data, size in
    unsafe FuzzTarget.chosen!.run(RawSpan(_unsafeStart: data!, byteCount: size))
    return 0
  })
