// Segments that a real kernel sent (Linux 6.18), from the IPv4 header on. How they were captured,
// with namespaces A and B joined by a veth pair named veth0, 192.0.2.1/24 and 192.0.2.2/24:
//
//   ethtool -K veth0 tx off tso off gso off gro off                         (in A and B)
//   sysctl -w net.ipv4.tcp_timestamps=0 net.ipv4.tcp_rmem="4096 131072 6291456"    (in A and B)
//   ip netns exec B tcpdump --immediate-mode -Z root -i veth0 -U -w golden.pcap tcp &
//   ip netns exec B socat -u TCP4-LISTEN:10001,reuseaddr - &
//   printf 'hello, kernel' | ip netns exec A socat -u - TCP4:192.0.2.2:10001,bind=192.0.2.1:40000
//   tcpdump -r golden.pcap -nn -v -S -xx
//
// tcp_rmem is the kernel's default for machines of some gigabytes; the window scale follows from it
// (`tcp_select_initial_window`).

//
// Those of IPv6 were captured in the same way, from 2001:db8::1 to 2001:db8::2.

/// Segments that a real kernel sent.
public enum KernelSegments {
  /// The client's SYN: window 64240, MSS 1460, NOP, NOP, SACK permitted, NOP, window scale 7.
  public static let syn = bytes(
    hex: """
      45000034 bab64000 4006fc09 c0000201 c0000202
      9c402711 b2a242cf 00000000 8002faf0 37590000 020405b4 01010402 01030307
      """)

  /// The server's SYN-ACK: window 64240, identification 0, the same options.
  public static let synAck = bytes(
    hex: """
      45000034 00004000 4006b6c0 c0000202 c0000201
      27119c40 b378d360 b2a242d0 8012faf0 b06e0000 020405b4 01010402 01030307
      """)

  /// The ACK that completes the handshake: window 502, which is 64240 scaled and rounded up.
  public static let ack = bytes(
    hex: """
      45000028 bab74000 4006fc14 c0000201 c0000202
      9c402711 b2a242d0 b378d361 501001f6 ea3b0000
      """)

  /// `hello, kernel`, with PSH.
  public static let data = bytes(
    hex: """
      45000035 bab84000 4006fc06 c0000201 c0000202
      9c402711 b2a242d0 b378d361 501801f6 45e50000 68656c6c 6f2c206b 65726e65 6c
      """)

  /// The server's ACK of the data.
  public static let dataAck = bytes(
    hex: """
      45000028 8b554000 40062b77 c0000202 c0000201
      27119c40 b378d361 b2a242dd 501001f6 ea2e0000
      """)

  /// The client's FIN.
  public static let fin = bytes(
    hex: """
      45000028 bab94000 4006fc12 c0000201 c0000202
      9c402711 b2a242dd b378d361 501101f6 ea2d0000
      """)

  /// The server's FIN, which acknowledges the client's.
  public static let finAck = bytes(
    hex: """
      45000028 8b564000 40062b76 c0000202 c0000201
      27119c40 b378d361 b2a242de 501101f6 ea2c0000
      """)

  /// The client's last ACK.
  public static let lastAck = bytes(
    hex: """
      45000028 baba4000 4006fc11 c0000201 c0000202
      9c402711 b2a242de b378d362 501001f6 ea2c0000
      """)

  /// The RST of a kernel that has no socket for a data segment whose acknowledgment was 0x0a0b0c0d:
  /// no ACK bit, window and identification 0.
  public static let reset = bytes(
    hex: """
      45000028 00004000 4006b6cc c0000202 c0000201
      27199c41 0a0b0c0d 00000000 50040000 526a0000
      """)

  /// The RST of a kernel that has no socket for a SYN of sequence 0x01020304.
  public static let resetOfSYN = bytes(
    hex: """
      45000028 00004000 4006b6cc c0000202 c0000201
      27199c41 00000000 01020305 50140000 646b0000
      """)

  /// The same of IPv6, from a connection of its own: window 64800, MSS 1440.
  public static let synOfIPv6 = bytes(
    hex: """
      600745ba 00200640 20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00000002
      9c402711 983892a8 00000000 8002fd20 285d0000 020405a0 01010402 01030307
      """)

  /// The SYN-ACK, with a flow label of the server's own.
  public static let synAckOfIPv6 = bytes(
    hex: """
      60021238 00200640 20010db8 00000000 00000000 00000002 20010db8 00000000 00000000 00000001
      27119c40 cccfd6c6 983892a9 8012fd20 84b50000 020405a0 01010402 01030307
      """)

  /// `hello, kernel`, with the flow label of the SYN.
  public static let dataOfIPv6 = bytes(
    hex: """
      600745ba 00210640 20010db8 00000000 00000000 00000001 20010db8 00000000 00000000 00000002
      9c402711 983892a9 cccfd6c7 501801fb 1c430000 68656c6c 6f2c206b 65726e65 6c
      """)

  /// The server's FIN, which acknowledges the client's.
  public static let finAckOfIPv6 = bytes(
    hex: """
      60021238 00140640 20010db8 00000000 00000000 00000002 20010db8 00000000 00000000 00000001
      27119c40 cccfd6c7 983892b7 501101fb c08a0000
      """)

  /// All of IPv6.
  public static let allOfIPv6 = [synOfIPv6, synAckOfIPv6, dataOfIPv6, finAckOfIPv6]

  /// All of IPv4, in the order that they were sent.
  public static let all = [
    syn, synAck, ack, data, dataAck, fin, finAck, lastAck, reset, resetOfSYN,
  ]
}
