// A stream of datagrams at a steady rate, and the account of what arrived of it.

public import Wire

/// A stream of datagrams of one size at a steady rate.
public struct Load: Sendable {
  /// The bytes of each datagram, at least 8.
  public var size: Int
  /// Datagrams a second; nil: as fast as they go.
  public var rate: Int?
  /// How many in all.
  public var count: Int
  /// What the contents follow from.
  public var seed: UInt64

  /// A load of `rate` a second for `duration`.
  public init(size: Int, rate: Int, duration: Duration, seed: UInt64 = 1) {
    self.init(
      size: size, rate: rate, count: rate * Int(duration.wholeNanoseconds / 1_000_000) / 1000,
      seed: seed)
  }

  /// A load of `count` datagrams.
  public init(size: Int, rate: Int?, count: Int, seed: UInt64 = 1) {
    precondition(size >= Pattern.headerByteCount)
    self.size = size
    self.rate = rate
    self.count = count
    self.seed = seed
  }
}

/// What became of a load.
public struct Receipt: Sendable {
  /// Datagrams that were sent; known once the last one is.
  public var sent = 0
  /// Datagrams that arrived whole for the first time.
  public var received = 0
  /// Those that arrived again.
  public var duplicated = 0
  /// Those with a wrong byte.
  public var damaged = 0
  /// Those that came behind one with a higher number.
  public var reordered = 0
  /// The longest time without a datagram, from the first to the last.
  public var longestGap = Duration.zero
  /// When the first and the latest arrived.
  public var first: Instant?
  /// When the latest arrived.
  public var latest: Instant?
}

extension UDPSocket {
  /// Sends a load to the connected peer; returns when the last datagram is sent, how many were. After
  /// a pause of this process it catches up in small steps, so that it never makes a burst of its own.
  @discardableResult
  public func send(_ load: Load, until stop: Signal? = nil) throws -> Int {
    let pattern = Pattern(seed: load.seed)
    var batch = MessageBatch(count: 64, capacity: load.size)
    var due = load.rate.map(DueCount.init)
    var sent = 0
    while sent < load.count, stop?.isRaised != true {
      let limit = min(64, load.count - sent)
      let count = due?.take(atMost: limit) ?? limit
      for index in 0..<count {
        let number = UInt64(sent + index)
        batch.fill(index, length: load.size) { bytes in
          pattern.write(number, into: &bytes)
        }
      }
      if count > 0 {
        try batch.send(count, over: file)
        sent += count
      }
      if due != nil { sleepThread(.milliseconds(1)) }
    }
    return sent
  }
}

/// How much is due by now of what is to happen so many times a second.
public struct DueCount: Sendable {
  private let start = now()
  private let rate: Int
  private var taken = 0

  /// Of what begins now.
  public init(rate: Int) { self.rate = rate }

  /// Takes what is due and was not taken.
  public mutating func take(atMost limit: Int) -> Int {
    let due = Int((now() - start).wholeNanoseconds / 1000) * rate / 1_000_000 + 1
    let count = max(0, min(limit, due - taken))
    taken += count
    return count
  }
}

/// Calls `body` with runs of up to 128 of `0..<count`, `rate` numbers a second.
public func paced(_ count: Int, rate: Int, _ body: (Range<Int>) throws -> Void) throws {
  var due = DueCount(rate: rate)
  var done = 0
  while done < count {
    let next = due.take(atMost: min(128, count - done))
    if next == 0 {
      try pause(.milliseconds(1))
    } else {
      try body(done..<done + next)
      done += next
    }
  }
}

/// A load on its way from one socket to another, on two threads of its own.
public final class Stream: Sendable {
  private let load: Load
  private let receipt = Shared(Receipt())
  private let isOver = Signal()
  private let isEnough = Signal()
  private let sender: Background<Failure?>
  private let receiver: Background<Failure?>

  /// Starts to receive, then to send. `source` is connected.
  public init(_ load: Load, from source: UDPSocket, to destination: UDPSocket) throws {
    try destination.file.setReceiveTimeout(.milliseconds(20))
    self.load = load
    let (receipt, isOver, isEnough) = (receipt, isOver, isEnough)
    receiver = Background {
      failure { try receive(load, on: destination.file, into: receipt, until: isOver) }
    }
    sender = Background {
      failure {
        let sent = try source.send(load, until: isEnough)
        receipt.update { $0.sent = sent }
      }
    }
  }

  /// What has arrived until now.
  public var current: Receipt { receipt.current }

  /// Sends no more.
  public func stop() { isEnough.raise() }

  /// Waits until everything is sent and has arrived, or nothing more has for `quiet`.
  public func finish(quiet: Duration = .seconds(1)) throws -> Receipt {
    if let failure = sender.join() { throw failure }
    let end = now()
    while current.received < current.sent, now() - max(current.latest ?? end, end) < quiet {
      sleepThread(.milliseconds(10))
    }
    isOver.raise()
    if let failure = receiver.join() { throw failure }
    return current
  }
}

private func failure(of body: () throws -> Void) -> Failure? {
  hurry()
  do {
    try body()
    return nil
  } catch {
    return Failure("\(error)")
  }
}

private func receive(
  _ load: Load, on file: OpenFile, into receipt: Shared<Receipt>,
  until stop: Signal
) throws {
  let pattern = Pattern(seed: load.seed)
  var batch = MessageBatch(count: 64, capacity: max(2048, load.size + 1))
  var seen = [Bool](repeating: false, count: load.count)
  var highest: UInt64 = 0
  while !stop.isRaised {
    let count = try batch.receive(from: file)
    guard count > 0 else { continue }
    let time = now()
    receipt.update { receipt in
      for index in 0..<count {
        let bytes = batch[index]
        guard bytes.byteCount == load.size, let number = pattern.read(bytes),
          number < load.count
        else {
          receipt.damaged += 1
          continue
        }
        receipt.account(number, &seen, &highest)
      }
      if let latest = receipt.latest {
        receipt.longestGap = max(receipt.longestGap, time - latest)
      }
      receipt.first = receipt.first ?? time
      receipt.latest = time
    }
  }
}

extension Receipt {
  fileprivate mutating func account(
    _ number: UInt64, _ seen: inout [Bool], _ highest: inout UInt64
  ) {
    if seen[Int(number)] {
      duplicated += 1
      return
    }
    seen[Int(number)] = true
    received += 1
    if number < highest { reordered += 1 } else { highest = number }
  }
}
