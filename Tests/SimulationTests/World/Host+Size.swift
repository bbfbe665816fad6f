// What a host's channels can carry, which the program itself asks of whole sessions only.

@testable import Engine

extension Host {
  /// The largest datagram that travels whole on the channel, in bytes; nil where that is gone.
  func largestDatagram(channel: Int) -> Int? {
    guard engine.channels.contains(channel) else { return nil }
    let overhead = engine.datagramOverhead(of: engine.channels[channel].session)
    return max(0, engine.channels[channel].segmentSize - overhead)
  }
}
