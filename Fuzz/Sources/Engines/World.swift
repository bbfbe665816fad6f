// A client and a server on a virtual clock, and a script that says what happens to them.
//
//   client ◄──► Medium, where packets are lost, changed, repeated and forged ◄──► server

import Crypto
import Engine
import Wire

/// Two ends and what is between them.
struct World {
  private static let clientAddress = IPAddress(ipv4: 0x0A00_0001)
  static let serverAddress = IPAddress(ipv4: 0xC000_0201)
  static let firstPort: UInt16 = 10_001
  private static let stepLimit = 400

  static let key = NamedKey(name: "one", key: SecretKey { $0.set(1 as UInt8, at: 0) })
  private static let otherKey = NamedKey(name: "two", key: SecretKey { $0.set(2 as UInt8, at: 0) })

  var script: Script
  var medium = Medium()
  private(set) var now = Instant(nanoseconds: 1_000_000_000_000)
  private let client: End
  private let server: End

  /// The script's first four bytes say what kind of world it is: paths, ports, room in batches,
  /// times; keys and ciphers, and the schedule; how many channels; for how long all is well at first.
  init(_ script: Script) {
    self.script = script
    let kind = self.script.byte()
    let path = Path(mtu: kind & 1 == 0 ? 1500 : 600, carriesRuns: kind & 2 == 0)
    let ports = PortSet([Self.firstPort...Self.firstPort + UInt16(kind >> 2 & 3)])
    let room = kind & 0x10 == 0 ? 256 : 20
    let choice = self.script.byte()
    let protection = Protection(choice)
    var serving = EngineConfiguration(role: .server(ports: ports))
    var dialling = EngineConfiguration(
      role: .client(
        server: Self.serverAddress, ports: ports, maxChannels: 1 + self.script.choice(of: 4)))
    if kind & 0x20 != 0 {
      serving.idleTimeout = .seconds(10)
      dialling.idleTimeout = .seconds(10)
    }
    if kind & 0x40 != 0 { dialling.initialSequence = 0xFFFF_FF00 }
    if kind & 0x80 != 0 { dialling.keepalive = .seconds(1) }
    dialling.schedule = Schedule.allCases[Int(choice >> 4 & 3)]
    protection.apply(to: &serving, &dialling)
    server = End(serving, address: Self.serverAddress, path: path, room: room, at: now)
    client = End(dialling, address: Self.clientAddress, path: path, room: room, at: now)
    collect()
    for _ in 0..<self.script.choice(of: 8) { exchange(after: .milliseconds(5)) }
  }

  /// Plays the script, and lets what it left go on for a while.
  mutating func play() {
    var steps = 0
    while !script.isAtEnd, steps < Self.stepLimit {
      steps += 1
      take(Step.allCases[script.choice(of: Step.allCases.count)])
    }
    for _ in 0..<8 {
      let next = min(client.nextDeadline, server.nextDeadline)
      guard next != .distantFuture else { return }
      exchange(after: max(next - now, .milliseconds(1)))
    }
  }

  /// Keys and ciphers, and what strangers are shown.
  private struct Protection {
    private let kind: UInt8

    private let hasDecoy: Bool

    init(_ choice: UInt8) {
      kind = choice & 7
      hasDecoy = choice & 8 != 0
    }

    func apply(to server: inout EngineConfiguration, _ client: inout EngineConfiguration) {
      guard kind > 2 else { return }
      server.hasDecoy = hasDecoy
      server.keys = [World.key, World.otherKey]
      client.keys = [kind == 7 ? NamedKey(key: SecretKey { $0.set(3 as UInt8, at: 0) }) : World.key]
      switch kind {
      case 4: client.cipher = .chaCha20
      case 5: server.cipher = .aesGCM
      case 6: (server.cipher, client.cipher) = (.none, .none)
      default: break
      }
    }
  }

  /// What a byte of the script can mean.
  private enum Step: UInt8, CaseIterable {
    case exchange, deliver, lose, change, again, forge, stranger, raw, wait, appSends, targetSends
    case close, network, path, interface, route, keys, clock, insider, forget
  }

  private mutating func take(_ step: Step) {
    switch step {
    case .exchange:
      for _ in 0..<1 + script.choice(of: 16) { exchange(after: .milliseconds(5)) }
    case .deliver: deliver(atMost: 1 + script.choice(of: 16))
    case .lose: medium.lose(&script)
    case .change: medium.change(&script)
    case .again: medium.again(&script)
    case .forge: forge()
    case .stranger: stranger()
    case .raw: raw()
    case .wait: wait()
    case .appSends: appSends()
    case .targetSends: targetSends()
    case .close: end(script.byte()).close(at: now)
    case .network: client.networkChanged(at: now)
    case .path: setPath()
    case .interface: server.setInterfaceMTU(script.size())
    case .route: end(script.byte()).hasRoute.toggle()
    case .keys: setKeys()
    case .clock: end(script.byte()).setClock(UInt64(script.long()) << 10, at: now)
    case .insider: insider()
    case .forget: server.forgetStranger()
    }
    collect()
  }

  private func end(_ choice: UInt8) -> End {
    switch Direction(choice) {
    case .toServer: server
    case .toClient: client
    }
  }
}

// Time, and what it brings.
extension World {
  /// Both ends do what is due, and everything arrives.
  private mutating func exchange(after duration: Duration) {
    now = now + duration
    advance()
    deliver(atMost: 16)
  }

  private mutating func advance() {
    client.advance(to: now)
    server.advance(to: now)
    collect()
  }

  private mutating func deliver(atMost limit: Int) {
    guard !medium.isEmpty else { return }
    let packets = medium.take(atMost: limit)
    server.receive(packets.toServer, at: now)
    client.receive(packets.toClient, at: now)
    collect()
  }

  /// Puts what the ends have sent on its way.
  private mutating func collect() {
    for packet in client.takeOutgoing() { medium.pass(packet, .toServer) }
    for packet in server.takeOutgoing() { medium.pass(packet, .toClient) }
  }

  /// From a microsecond to some hours.
  private mutating func wait() {
    let choice = script.byte()
    var unit: Int64 = 1_000
    for _ in 0..<Int(choice & 15) % 10 { unit *= 10 }
    now = now + .nanoseconds(unit * Int64(1 + choice >> 4))
    advance()
  }
}

// What the apps and the hosts do.
extension World {
  private mutating func appSends() {
    let choice = script.byte()
    client.send(
      sizes: sizes(1 + Int(choice & 3)), segmentSize: choice & 4 == 0 ? 0 : script.size(),
      from: Endpoint(Self.clientAddress, 30_000 + UInt16(choice >> 3)), origin: .apps, at: now)
  }

  /// The target answers a flow, or one that there is not.
  private mutating func targetSends() {
    let choice = script.byte()
    let number = Int(choice >> 4)
    let flows = server.openFlows
    let flow = choice & 8 == 0 && !flows.isEmpty ? flows[number % flows.count] : number
    server.send(
      sizes: sizes(1 + Int(choice & 3)), segmentSize: choice & 4 == 0 ? 0 : script.size(),
      from: Endpoint(.any, 0), origin: .flow(flow), at: now)
  }

  /// The server's keys are others now.
  private mutating func setKeys() {
    let choice = script.byte()
    server.setKeys(
      (choice & 1 == 0 ? [] : [Self.key]) + (choice & 2 == 0 ? [] : [Self.otherKey]), at: now)
  }

  private mutating func sizes(_ count: Int) -> [Int] { (0..<count).map { _ in script.size() } }

  /// An end has another path: for new channels, or for one that there is, or not.
  private mutating func setPath() {
    let choice = script.byte()
    let path = Path(mtu: script.size(), carriesRuns: choice & 2 == 0)
    let end = end(choice)
    guard choice & 4 != 0 else {
      end.path = path
      return
    }
    let number = Int(choice >> 3)
    let channels = end.openChannels
    end.setPath(
      path, channel: channels.isEmpty ? number : channels[number % channels.count], at: now)
  }
}
