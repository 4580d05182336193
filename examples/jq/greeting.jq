def greeting: "hello, \(.name)";
