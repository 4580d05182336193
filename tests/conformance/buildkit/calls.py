"""Dockerfiles for what BuildKit's frontend answers without building: checks, outline, targets.

CHECKS: for each rule, Dockerfiles that it finds something in and Dockerfiles that it does not. A Dockerfile may begin with lines "#option NAME VALUE" (passed on) and "#ignore PATTERN"
(a line of .dockerignore); they are taken out. CALLS: what outline and targets are asked about.
"""

CHECKS = {
    "StageNameCasing": (
        ["FROM scratch AS Builder\n", "FROM scratch AS BUILD\nFROM scratch AS x\n", "FROM scratch AS aB\nCOPY --from=ab x y\n", "FROM scratch AS x\nFROM scratch AS Y1\n", "from scratch as Z\n"],
        ["FROM scratch AS builder\n", "FROM scratch\n", "FROM scratch AS a-b_c.1\n", "# check=skip=StageNameCasing\nFROM scratch AS Builder\n", "FROM busybox AS x\nFROM x\n"]),
    "FromAsCasing": (
        ["FROM scratch as x\n", "from scratch AS x\n", "FROM scratch As x\n", "FROM scratch aS x\n", "FROM scratch AS a\nFROM scratch as b\n"],
        ["FROM scratch AS x\n", "from scratch as x\n", "FROM scratch\n", "# check=skip=FromAsCasing\nFROM scratch as x\n", "From scratch AS x\n"]),
    "NoEmptyContinuation": (
        ["FROM busybox\nRUN echo a \\\n\n  b\n", "FROM busybox\nRUN a \\\n\n\n b\n", "FROM scratch\nENV a=1 \\\n\n  b=2\n", "FROM busybox\nRUN a \\\n   \n b\n", "# escape=`\nFROM busybox\nRUN a `\n\n b\n"],
        ["FROM busybox\nRUN echo a \\\n  b\n", "FROM busybox\nRUN a \\\n# comment\n b\n", "FROM busybox\n\nRUN a\n\n", "FROM busybox\nRUN <<E\na\n\nb\nE\n", "# check=skip=all\nFROM busybox\nRUN a \\\n\n b\n"]),
    "ConsistentInstructionCasing": (
        ["FROM scratch\nenv a=1\n", "from scratch\nENV a=1\n", "FROM scratch\nEnv a=1\n", "From scratch\n", "FROM scratch\nENV a=1\nlabel b=2\nENV c=1\n", "from scratch\nenv a=1\nENV b=1\n"],
        ["FROM scratch\nENV a=1\n", "from scratch\nenv a=1\n", "FROM scratch\n", "# check=skip=ConsistentInstructionCasing\nFROM scratch\nenv a=1\n", "from scratch\nenv a=1\nlabel b=c\n"]),
    "DuplicateStageName": (
        ["FROM scratch AS a\nFROM scratch AS a\n", "FROM scratch AS a\nFROM scratch AS A\n", "FROM scratch AS a\nFROM scratch AS b\nFROM scratch AS a\n", "FROM scratch AS a\nFROM a AS a\n"],
        ["FROM scratch AS a\nFROM scratch AS b\n", "FROM scratch\nFROM scratch\n", "FROM scratch AS a\nFROM a\n", "# check=skip=DuplicateStageName\nFROM scratch AS a\nFROM scratch AS a\n"]),
    "ReservedStageName": (
        ["FROM busybox AS scratch\n", "FROM busybox AS context\n", "FROM busybox AS Scratch\n", "FROM busybox AS a\nFROM busybox AS context\n"],
        ["FROM scratch\n", "FROM busybox AS contexts\n", "FROM busybox AS scratch1\n", "# check=skip=ReservedStageName\nFROM busybox AS scratch\n"]),
    "JSONArgsRecommended": (
        ["FROM busybox\nCMD echo a\n", "FROM busybox\nENTRYPOINT echo a\n", "FROM busybox\nENTRYPOINT exec a\nCMD b\n", "FROM busybox\nCMD ['a']\n", "FROM busybox\nCMD [a]\n"],
        ["FROM busybox\nCMD [\"a\"]\n", "FROM busybox\nENTRYPOINT [\"a\", \"b\"]\n", "FROM busybox\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD echo a\n", "FROM busybox\nRUN echo a\n", "FROM busybox\nHEALTHCHECK CMD a\n",
         "# check=skip=JSONArgsRecommended\nFROM busybox\nCMD a\n", "FROM busybox\nCMD []\n"]),
    "MaintainerDeprecated": (
        ["FROM scratch\nMAINTAINER me\n", "FROM scratch\nMAINTAINER a b <c@d>\n", "from scratch\nmaintainer me\n", "FROM scratch AS a\nMAINTAINER me\nFROM a\nMAINTAINER you\n"],
        ["FROM scratch\nLABEL maintainer=me\n", "FROM scratch\nLABEL org.opencontainers.image.authors=\"me\"\n", "FROM scratch\n# MAINTAINER me\n", "# check=skip=MaintainerDeprecated\nFROM scratch\nMAINTAINER me\n"]),
    "UndefinedArgInFrom": (
        ["FROM ${V:-busybox}\n", "FROM busybox:${V}\n", "ARG VERSION=1\nFROM busybox:${VERSIO}\n", "FROM $BASE\n", "ARG A=busybox\nFROM $A AS x\nFROM ${B:-scratch}\nFROM $C\n", "FROM --platform=$NOPE busybox\n"],
        ["ARG V=latest\nFROM busybox:${V}\n", "FROM busybox\n", "FROM --platform=$BUILDPLATFORM busybox\n", "ARG P=linux/amd64\nFROM --platform=$P busybox\n"]),
    "WorkdirRelativePath": (
        ["FROM rich\nWORKDIR x\n", "FROM busybox\nWORKDIR a\n", "FROM scratch\nWORKDIR a/b\n", "FROM busybox\nWORKDIR ./a\n", "FROM scratch AS a\nWORKDIR x\nFROM a\n", "FROM scratch\nARG D=x\nWORKDIR $D\n"],
        ["FROM busybox\nWORKDIR /a\n", "FROM busybox\nWORKDIR /a\nWORKDIR b\n", "FROM scratch\nWORKDIR /\nWORKDIR x\n", "FROM scratch AS a\nWORKDIR /a\nFROM a\nWORKDIR b\n", "FROM scratch\nARG D=/x\nWORKDIR $D\n"]),
    "UndefinedVar": (
        ["FROM scratch\nENV a=${b:+c}\n", "FROM scratch\nENV a=${b-c}\n", "FROM scratch\nENV a=${b:-c}\n", "FROM scratch\nENV a=$b\n", "FROM scratch\nCOPY $x /y\n", "FROM scratch\nARG FOO=1\nLABEL a=$FO\n", "FROM scratch\nENV PATH=$PAHT:/x\n", "FROM scratch\nWORKDIR /$d\n", "ARG G=1\nFROM scratch\nLABEL g=$G\n",
         "FROM scratch AS a\nARG X=1\nFROM scratch\nLABEL x=$X\n", "FROM busybox\nENV a=$PAT\n", "FROM scratch\nENV $N=1\nLABEL a=$B\n"],
        ["FROM scratch\nARG b\nENV a=$b\n", "FROM busybox\nRUN echo $b\n", "FROM busybox\nENV a=$PATH\n", "FROM scratch\nENV a='$b'\n", "FROM scratch\nENV a=\\$b\n",
         "FROM rich\nLABEL a=$RICH\n", "FROM scratch AS a\nENV X=1\nFROM a\nLABEL x=$X\n", "FROM scratch\nARG HTTP_PROXY\nLABEL p=$HTTP_PROXY\n", "FROM scratch\nARG TARGETARCH\nLABEL p=$TARGETARCH\n"]),
    "MultipleInstructionsDisallowed": (
        ["FROM busybox\nCMD [\"a\"]\nCMD [\"b\"]\n", "FROM busybox\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"b\"]\n", "FROM busybox\nHEALTHCHECK NONE\nHEALTHCHECK CMD a\n", "FROM busybox\nCMD [\"a\"]\nRUN x\nCMD [\"b\"]\nCMD [\"c\"]\n"],
        ["FROM busybox\nCMD [\"a\"]\nENTRYPOINT [\"b\"]\n", "FROM busybox AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n", "FROM busybox\nRUN a\nRUN b\n", "FROM busybox\nEXPOSE 1\nEXPOSE 2\n",
         "# check=skip=MultipleInstructionsDisallowed\nFROM busybox\nCMD [\"a\"]\nCMD [\"b\"]\n"]),
    "LegacyKeyValueFormat": (
        ["FROM scratch\nENV a b\n", "FROM scratch\nENV a b c d\n", "FROM scratch\nLABEL a b\n", "FROM scratch\nENV a \"b c\"\n", "FROM scratch\nENV a\tb=c\n"],
        ["FROM scratch\nENV a=b\n", "FROM scratch\nENV a=b c=d\n", "FROM scratch\nLABEL a=b\n", "FROM scratch\nENV a=\"b c\"\n", "FROM scratch\nARG a\n", "FROM scratch\nENV a= b=c\n"]),
    "InvalidBaseImagePlatform": (
        ["FROM --platform=linux/arm64 busybox\n", "FROM --platform=linux/386 busybox AS a\n", "FROM --platform=linux/s390x rich\n", "FROM --platform=linux/arm/v7 busybox AS x\nFROM x\n"],
        ["FROM busybox\n", "FROM --platform=linux/amd64 busybox\n", "FROM --platform=linux/arm64 scratch\n", "FROM --platform=$BUILDPLATFORM busybox\n"]),
    "RedundantTargetPlatform": (
        ["FROM --platform=${TARGETPLATFORM:-linux/amd64} busybox\n", "FROM --platform=$TARGETPLATFORM busybox\n", "FROM --platform=${TARGETPLATFORM} busybox\n", "FROM --platform=$TARGETPLATFORM scratch AS a\nFROM a\n", "FROM scratch AS a\nFROM --platform=$TARGETPLATFORM a\n"],
        ["FROM --platform=$BUILDPLATFORM busybox\n", "FROM busybox\n", "ARG P=linux/amd64\nFROM --platform=$P busybox\n", "# check=skip=RedundantTargetPlatform\nFROM --platform=$TARGETPLATFORM busybox\n"]),
    "SecretsUsedInArgOrEnv": (
        ["FROM scratch\nARG PASSWORD\n", "FROM scratch\nENV AWS_SECRET_ACCESS_KEY=x\n", "FROM scratch\nARG GITHUB_TOKEN=x\n", "FROM scratch\nENV API_KEY=1 B=2\n", "FROM scratch\nARG apikey\nARG auth\nARG credentials\nARG pword\nARG passwd\nARG pwd\nARG secrets\n",
         "FROM scratch\nENV MY_AUTH=1\n"],
        ["FROM scratch\nARG db-password\n", "FROM scratch\nARG USER\n", "FROM scratch\nENV PUBLIC_KEY=x\n", "FROM scratch\nARG TOKENIZER\n", "FROM scratch\nARG KEYBOARD\n", "FROM scratch\nARG PASSWORDS_FILE\n", "FROM busybox\nRUN --mount=type=secret,id=token,env=TOKEN true\n",
         "FROM scratch\nARG PUBLIC_TOKEN\n", "# check=skip=SecretsUsedInArgOrEnv\nFROM scratch\nARG TOKEN\n", "FROM scratch\nLABEL password=x\n"]),
    "InvalidDefaultArgInFrom": (
        ["ARG V\nFROM busybox:$V\n", "ARG B\nFROM $B\n", "ARG T=\nFROM busybox:${T}\n", "ARG V\nFROM busybox${V}:\n", "ARG V\nFROM ${V}busybox:${V}\n"],
        ["ARG V=latest\nFROM busybox:$V\n", "ARG V\nFROM busybox:${V:-latest}\n", "ARG V\nFROM busybox${V}\n", "ARG V\nFROM busybox\n", "#option --build-arg V=latest\nARG V=1\nFROM busybox:$V\n",
         "# check=skip=InvalidDefaultArgInFrom\nARG V\nFROM busybox:${V:-latest}\n"]),
    "FromPlatformFlagConstDisallowed": (
        ["FROM --platform=linux/amd64 busybox\n", "FROM --platform=linux/amd64 scratch AS a\nFROM a\n", "FROM --platform=linux/arm64 scratch\n", "FROM scratch AS a\nFROM --platform=linux/amd64 scratch AS b\nCOPY --from=a / /\n"],
        ["FROM --platform=$BUILDPLATFORM busybox\n", "FROM busybox\n", "ARG P=linux/amd64\nFROM --platform=$P busybox\n", "FROM --platform=linux/amd64 scratch AS amd64-base\n", "FROM --platform=linux/amd64 scratch AS base-amd64\nFROM base-amd64\n",
         "# check=skip=FromPlatformFlagConstDisallowed\nFROM --platform=linux/amd64 busybox\n"]),
    "CopyIgnoredFile": (
        ["#ignore a\nFROM scratch\nCOPY a /\n", "#ignore *.log\nFROM scratch\nADD x.log /\n", "#ignore d\nFROM scratch\nCOPY d/f /\n", "#ignore a\nFROM scratch\nCOPY b a /x/\n", "#ignore **/t\nFROM scratch\nCOPY ./q/t /\n"],
        ["#ignore a\nFROM scratch\nCOPY b /\n", "FROM scratch\nCOPY a /\n", "#ignore a\nFROM busybox AS x\nFROM scratch\nCOPY --from=x a /\n", "#ignore *\n#ignore !a\nFROM scratch\nCOPY a /\n", "#ignore a\nFROM scratch\nCOPY . /\n",
         "#ignore a\nFROM scratch\nADD http://127.0.0.1:1/a /\n", "#ignore a\n# check=skip=CopyIgnoredFile\nFROM scratch\nCOPY a /\n", "#ignore a\nFROM scratch\nCOPY <<a /x\nhi\na\n"]),
    "InvalidDefinitionDescription": (
        ["# check=experimental=all\n\n# a comment of its own\n\nFROM scratch AS base\n", "# check=experimental=all\n# other is a stage\nFROM scratch AS base\n", "# check=experimental=InvalidDefinitionDescription\n# what it is\nARG A=1\nFROM scratch\n", "# check=experimental=all\n# Base\nFROM scratch AS base\n",
         "# check=experimental=all\nFROM scratch AS x\n# b is\nARG a\n"],
        ["# other is a stage\nFROM scratch AS base\n", "# check=experimental=all\n# base is a stage\nFROM scratch AS base\n", "# check=experimental=all\n# A is a number.\nARG A=1\nFROM scratch\n",
         "# check=experimental=all\n# any words\nFROM scratch\nRUN true\n"]),
    "ExposeProtoCasing": (
        ["FROM scratch\nEXPOSE 80/TCP\n", "FROM scratch\nEXPOSE 80/Udp\n", "FROM scratch\nEXPOSE 80/tcp 81/UDP\n", "FROM scratch\nEXPOSE 80-82/TCP\n"],
        ["FROM scratch\nEXPOSE 80/tcp\n", "FROM scratch\nEXPOSE 80\n", "FROM scratch\nEXPOSE 80/udp 81/sctp\n", "# check=skip=ExposeProtoCasing\nFROM scratch\nEXPOSE 80/TCP\n"]),
    "ExposeInvalidFormat": (
        ["FROM scratch\nEXPOSE 80:80\n", "FROM scratch\nEXPOSE 127.0.0.1:80:80/tcp\n", "FROM scratch\nEXPOSE 8080:80/tcp 81\n", "FROM scratch\nEXPOSE 5000-5002:6000-6002\n"],
        ["FROM scratch\nEXPOSE 80\n", "FROM scratch\nEXPOSE 80-90/tcp\n", "FROM scratch\nARG P=80\nEXPOSE $P\n", "# check=skip=ExposeInvalidFormat\nFROM scratch\nEXPOSE 80:80\n"]),
}

CALLS = [
    "FROM scratch\n",
    "FROM busybox AS a\nFROM busybox AS b\nFROM a\n",
    "# a builds.\nFROM busybox AS a\n# b is the last\nFROM a AS b\n",
    "FROM scratch AS x\n# A is the first.\nARG A=1\nFROM x AS y\nRUN --mount=type=secret,id=s --mount=type=ssh true\n",
    "ARG V=1\nFROM busybox AS base\nARG V\nARG W\nARG X=2 Y=3\nFROM base\nARG Z\n",
    "#option --build-arg V=given\nARG V=1\nFROM busybox\nARG V\n",
    "#option --target a\nFROM scratch AS a\nARG ONE=1\nFROM scratch AS b\nARG TWO=2\n",
    "#option --target B\nFROM scratch AS a\nFROM scratch AS b\nARG TWO=2\n",
    "FROM busybox\nRUN --mount=type=secret,id=one,required --mount=type=secret,target=/x/two true\nRUN --mount=type=secret,id=one true\n",
    "FROM busybox\nRUN --mount=type=ssh,required true\nRUN --mount=type=ssh,id=other true\n",
    "FROM busybox AS unused\nRUN --mount=type=secret,id=hidden true\nFROM busybox\nRUN --mount=type=secret,id=seen true\n",
    "FROM busybox AS tool\nARG T=1\nRUN --mount=type=secret,id=t true\nFROM busybox\nCOPY --from=tool /x /y\n",
    "FROM busybox AS tool\nARG T=1\nFROM busybox\nRUN --mount=from=tool,target=/t true\n",
    "# the base image\n# in two lines\nFROM busybox AS base\n",
    "# check=skip=all\n# base is described.\nFROM busybox AS base\n# V is a version\n\nARG V=1\n# W is another.\nARG W=2\n",
    "ARG BASE=busybox\nFROM $BASE AS x\nFROM x\n",
    "ARG A=1\nARG B=$A-2\nFROM busybox\nARG B\nARG C=$B-3\n",
    "FROM --platform=$BUILDPLATFORM busybox AS build\nARG TARGETOS TARGETARCH\nFROM busybox\nCOPY --from=build /x /y\n",
    "FROM busybox AS UPPER\nFROM busybox AS Next\nCOPY --from=Upper /a /b\n",
    "FROM trigger\nARG MINE\n",
    "FROM busybox\nARG HTTP_PROXY\nARG http_proxy=x\n",
    "from busybox as a\narg one=1\nfrom a\narg two\n",
    "FROM scratch AS a\nFROM scratch AS a\nFROM a AS c\n",
    "FROM busybox\nRUN --mount=type=cache,target=/c true\nRUN --mount=type=cache,id=i,target=/d,sharing=locked true\n",
    "#option --target nosuch\nFROM scratch AS a\n",
    "ARG TARGETSTAGE=${B:-x}\nARG B=80\nFROM busybox\nARG TARGETSTAGE=k\n",
    "ARG B=1\nARG A=$B\nARG A=2\nFROM busybox\nARG A\n",
    "ARG B=1\nARG A=$B\nARG A=$A-2\nFROM busybox\nARG A\n",
    "ARG B=1\nARG A=$B\nFROM busybox\nARG A=2\n",
    "ARG A=1\nARG A TARGETARCH\nFROM busybox\nARG A TARGETARCH\n",
    "FROM busybox\nEXPOSE none\n",
    "FROM busybox\nSTOPSIGNAL NOPE\n",
    "FROM --platform=nope busybox AS a\nFROM scratch\n",
    "FROM busybox: AS a\nFROM scratch\n",
    "#option --target nosuch\nFROM $A AS a\n",
]


def read(text):
    """(Dockerfile, options, lines of .dockerignore)."""
    options, ignore = [], []
    lines = text.splitlines(keepends=True)
    while lines and lines[0].startswith(("#option ", "#ignore ")):
        kind, _, rest = lines.pop(0).strip().partition(" ")
        if kind == "#option":
            options += rest.split(" ", 1)
        else:
            ignore.append(rest)
    return "".join(lines), options, ignore


def check_cases():
    """[(name, rule, whether it is found, text)]"""
    out = []
    for rule, (found, clean) in CHECKS.items():
        out += [(f"{rule}-found-{n}", rule, True, text) for n, text in enumerate(found, 1)]
        out += [(f"{rule}-clean-{n}", rule, False, text) for n, text in enumerate(clean, 1)]
    return out


def call_cases():
    return [(f"{call}-{n}", call, text) for n, text in enumerate(CALLS, 1) for call in ("outline", "targets")]
