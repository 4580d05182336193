print("hello from a layer of its own")
