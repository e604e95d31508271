module lintel.dev/bridge

go 1.26.0

replace lintel.dev => ../

require go.uber.org/goleak v1.3.0
