"""SOURCE_DATE_EPOCH: which times it sets."""
from casebook import Topic

case = Topic("epoch")
EPOCH = ("--build-arg", "SOURCE_DATE_EPOCH=1234567890")
case("epoch-config", "FROM busybox\nENV A=1\nRUN true\nCOPY f /f\n", {"f": "1"}, *EPOCH)
case("epoch-scratch", "FROM scratch\nCOPY f /d/f\nWORKDIR /w\n", {"f": "1"}, *EPOCH)
case("epoch-arg-in-run", "FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH >/f && touch -d @5 /f\n", {}, *EPOCH)
case("epoch-not-declared", "FROM busybox\nRUN echo ${SOURCE_DATE_EPOCH:-none} >/f\n", {}, *EPOCH)
case("epoch-heredoc", "FROM busybox\nCOPY <<EOF /h\nx\nEOF\n", {}, *EPOCH)
case("epoch-global-arg", "ARG SOURCE_DATE_EPOCH=1111111111\nFROM busybox\nENV A=1\nRUN true\n")
case("epoch-http", "FROM busybox\nADD @HTTP@/undated /x/\n", {}, *EPOCH)
