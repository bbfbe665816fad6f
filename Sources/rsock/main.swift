print("rsock")
