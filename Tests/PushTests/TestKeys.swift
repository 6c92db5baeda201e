/// Keys that were made for these tests and are good for nothing else.
enum TestKeys {
    static let rsaPrivate = """
        -----BEGIN PRIVATE KEY-----
        MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCkZK17gQLc/NdW
        Pbzc6BWBPwKQIXxdtIgoNWhcS1FeiPVW/PB4xryC4MgLS4XByA2N4T+b8cYUBWl1
        AaCFwDvlWdJ4WoC3WK70hyBEAFIB3gLX5jPJMLp1gDaKGlO+e7Pnf36CcjHfoMuH
        SEg+dYzsUCOKeBfvITWWSepj3G0Ti4XVXka2lSawPoc98T02hJUOvEtN1aVkHuYh
        tWKcoEeV6xUp7fnQyGjTCCThMXuj2Z55C6RGNJqi5sSRKoVzt8MF0jmPL0CfnRiz
        HO0+MzB0/V+pnliLc0hE7ansFLd9fmIrwkkumGq4doW3F6zO0v4JVxHJw0X8iSRH
        YbGBNw+PAgMBAAECggEAKQuGER8OAvUSItM5U4KS0/lSf4AM2CyaDkf/bYPUpiDV
        +MkglVcxfA/5gnBxzgdP8wu5YQtFpHwRb4hfduWfTs1Vcn1OQ/jdfeo7ER9vWk3/
        Mb6lUWdcNrgzZdna7OVf7r3zbUhr0WUJTBatCwM4k0wTA6CmgSsugP6lihdgGI/H
        x3DA/9NES9k9Z+HQiAq3KnJpIh15vVgTJA06DpBaTy9csq5+2GJ/zvj8jhgpUAqo
        LSk+Ga+rDMVlP9U4Vp/25BgtXn02pVJGA/DIRA4YKE0S0+Jl14Y7Lr7eS42IlWc3
        3vy5b0e9jPalyrViBnKYh+s2/d+2ZAgkUTIsYGDKOQKBgQDbZb0Hpx42bNsdGgTi
        JrM28BsA/EW7Wnc23juj4LktmSFewcfQVzb9xgnyW5FTiBS8n8z032O+e+7Y4LNC
        Lr9TPj35VwGBAz5Y5qi2p8sVgZiIy6wDq9wo3yr6+2FEKRO72rArXSvMELsJaqbJ
        DrIUFv8fNwxqaYPaSBZhbaMR9QKBgQC/0cNQet0dTbSnx6kzX157l6axxWd9WrcG
        W4wsWLTqBuZYRRXiBppRMp9dS1YqM6TWdjyFpWZSP/ZXFsr2DECdZlAP/bA54loI
        55Xs0tp/otl8oIFE3qaFn2VkKnsYSsxJQbayIhJhuOxVTjjGZy0+E+P44G2KdW1y
        x1L8TeJ08wKBgC45kUo7e7Ib3U6UXNMJNFku3YGnpUmEFfoJeKdegaWJze4ZBfBv
        b7aoMxBNGqFu2m+je5tcNbe8hOZM8XfQQZ9YTdZq7nYwKMKyVnmlgLRXSbwIrYVY
        gFpcKsIWlLe3r+C0gsmgJ8om/EFPpzRVVE/HSJlbD9KbyJwE9DIy11jBAoGAQ/Eb
        ei0alp+IZoks4Dpeb+5mJ79hCaCRBVp1yttcsSvieM93kch+7lW85sGhcm86apAU
        nc3Y8TcgnPZAy2fJlza/EvrraYVIGLFWhDynEeBvoloDj45Bc0DjG9iEIzWTKDtz
        Z6Lz2dMzOn/rUjMHbl6DOAreIdW3/5ikRyObG4sCgYEAyu6OiShpevc8bmIgN+rn
        MrT+DfYwy403MkSTGQyY4YaR/2OmPhh3xjQg0m6VO5x7O03F21wDSUc6UEbU77A+
        5J+J5AZkTytOQpJVj0RxBauqGTJsT1kFlspGLfnxNSHNIEMYrbaZnEQPB9bSXaYW
        l9oYSVAoIlGEO6RPyTOcRog=
        -----END PRIVATE KEY-----
        """
}
